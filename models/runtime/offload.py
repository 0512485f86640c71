"""Offloading: networks stay in host memory and are on the GPU only while they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["on_device"]


@contextmanager
def on_device(device: torch.device, *networks: nn.Module) -> Iterator[None]:
    """Move networks to `device` for the length of the `with` block.

    The original tensors are kept and restored afterwards: nothing is copied back. Networks already on the device are
    left alone.
    """
    originals = [(network, network.state_dict()) for network in networks if _elsewhere(network, device)]
    try:
        for network, original in originals:
            network.load_state_dict({name: value.to(device) for name, value in original.items()}, assign=True)
        yield
    finally:
        for network, original in originals:
            network.load_state_dict(original, assign=True)


def _elsewhere(network: nn.Module, device: torch.device) -> bool:
    return any(value.device.type != device.type for value in network.parameters())

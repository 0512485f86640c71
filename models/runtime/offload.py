"""Networks that wait in the computer's own memory and are on the GPU only while they work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["on_device"]


@contextmanager
def on_device(device: torch.device, *networks: nn.Module) -> Iterator[None]:
    """Have networks on `device` inside the `with` block.

    Their values stay where they were, too, and count again afterwards: nothing is copied back. Networks that are on the
    device already are left alone.
    """
    homes = [(network, network.state_dict()) for network in networks if _elsewhere(network, device)]
    try:
        for network, home in homes:
            network.load_state_dict({name: value.to(device) for name, value in home.items()}, assign=True)
        yield
    finally:
        for network, home in homes:
            network.load_state_dict(home, assign=True)


def _elsewhere(network: nn.Module, device: torch.device) -> bool:
    return any(value.device.type != device.type for value in network.parameters())

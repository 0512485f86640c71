"""Offloading of networks, with torch's `meta` as the device."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.runtime.offload import on_device

META = torch.device("meta")


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).requires_grad_(False)


def places(network: nn.Module) -> set[str]:
    return {value.device.type for value in (*network.parameters(), *network.buffers())}


def test_a_network_is_on_the_device_only_while_in_use() -> None:
    net = network()
    before = {name: (value.data_ptr(), value.clone()) for name, value in net.state_dict().items()}
    with on_device(META, net):
        assert places(net) == {"meta"}
        assert net(torch.empty(4, 3, device=META)).shape == (4, 2)
    assert places(net) == {"cpu"}
    for name, value in net.state_dict().items():
        pointer, content = before[name]
        assert value.data_ptr() == pointer  # nothing was copied back
        assert torch.equal(value, content)


def test_a_network_is_offloaded_after_an_error() -> None:
    net = network()
    with pytest.raises(ZeroDivisionError), on_device(META, net):
        _ = 1 / 0
    assert places(net) == {"cpu"}


def test_networks_on_the_device_are_not_moved() -> None:
    net = network()
    with on_device(torch.device("cpu"), net):
        assert places(net) == {"cpu"}
    moved = network().to(META)
    with on_device(META, moved):
        pass
    assert places(moved) == {"meta"}

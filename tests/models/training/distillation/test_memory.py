"""Memory of distilling the full model, counted with fake tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from bench.support.random_weights import FULL
from models.denoiser import Denoiser
from models.runtime.device import GIB
from models.training.distillation import objective as module
from models.training.distillation.objective import DistillationObjective
from tests.models.test_memory import OVERHEAD, Live

CONFIG = FULL.config
OPTIMIZER = 2
"""Values that AdamW keeps for each that is trained; its average is another."""


class FakeStudent(module.Student):
    """The full-size denoiser, without values."""

    def __init__(self, _: Path) -> None:
        nn.Module.__init__(self)
        self.unet = Denoiser(CONFIG.unet).requires_grad_(False)
        side = CONFIG.latent_size
        self.register_buffer("pose", torch.empty(CONFIG.unet.block_out_channels[0], side, side))


@pytest.mark.slow
@pytest.mark.parametrize(("rank", "gigabytes"), [(64, 24), (0, 80)])
def test_the_full_model_is_distilled_within(
    rank: int, gigabytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One window at a time, with checkpointing: adapters on 24 GB, all values on 80 GB."""
    CONFIG.write(tmp_path)
    monkeypatch.setattr(module, "Student", FakeStudent)
    objective = DistillationObjective(tmp_path, tmp_path, rank=rank, checkpointing=True)
    window, side, width = CONFIG.window, CONFIG.latent_size, CONFIG.unet.cross_attention_dim
    with FakeTensorMode():
        network = objective.network()
        batch = {
            "appearance": torch.empty(1, CONFIG.appearance.tokens, width),
            "motion": torch.empty(1, window, CONFIG.refiner.latents, width),
            "portrait": torch.empty(1, 4, side, side),
            "states": torch.empty(1, 5, window, 4, side, side),
        }
        trained = sum(value.numel() for value in network.parameters() if value.requires_grad)
        with Live(network) as live:
            with torch.autocast("cpu", torch.bfloat16):
                loss = objective.losses(network, batch)["loss"]
            loss.backward()
    weights = sum(value.nbytes for value in network.parameters())
    kept = trained * 4 * (OPTIMIZER + 1)
    total = weights + kept + live.peak + OVERHEAD
    print(
        f"rank {rank}: weights {weights / GIB:.1f} GiB, optimizer and average {kept / GIB:.1f}, "
        f"gradients and activations {live.peak / GIB:.1f}, in all {total / GIB:.1f}"
    )
    assert total < gigabytes * 1e9

"""The autoencoder's examples and losses, and that a render reads the weights as written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import models.training.autoencoder_objective as module
from models.autoencoder import encode_portrait
from models.config import ModelConfig
from models.miniature.init_weights import init_weights
from models.training.autoencoder_objective import AutoencoderObjective
from models.weights import load_part
from tests.small import SMALL


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The miniature with a smaller autoencoder."""
    directory = tmp_path_factory.mktemp("reconstruction") / "weights"
    vae = replace(SMALL.vae, block_out_channels=(32, 32, 32, 32))
    init_weights(directory, 0, replace(SMALL, vae=vae))
    return directory


def batch_of(objective: AutoencoderObjective, *seeds: int) -> dict[str, Tensor]:
    examples = [objective.example(np.random.default_rng(seed)) for seed in seeds]
    return {name: torch.stack([example[name] for example in examples]) for name in examples[0]}


def test_an_example_depends_on_its_generator_alone(weights: Path) -> None:
    objective = AutoencoderObjective(weights, frames=3)
    one, again, other = (objective.example(np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert {name: (tuple(value.shape), value.dtype) for name, value in one.items()} == {
        "pictures": ((3, 3, 128, 128), torch.float32),
        "weights": ((3, 1, 128, 128), torch.float32),
        "noise": ((3, 4, 16, 16), torch.float32),
    }
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    assert -1 <= one["pictures"].min() < -0.3 < 0.3 < one["pictures"].max() <= 1


def test_frames_are_consecutive(weights: Path) -> None:
    """They show one person before one backdrop, and the face has a larger weight."""
    example = AutoencoderObjective(weights, frames=2).example(np.random.default_rng(4))
    first, second = example["pictures"]
    assert 0 < (first - second).abs().mean() < 0.1
    assert set(example["weights"].unique().tolist()) == {1.0, 3.0}
    assert 0.02 < (example["weights"] > 1).float().mean() < 0.4


def test_a_patch_is_a_part_of_the_picture(weights: Path) -> None:
    example = AutoencoderObjective(weights, frames=1, patch=32).example(np.random.default_rng(0))
    assert example["pictures"].shape == (1, 3, 32, 32)
    assert example["weights"].shape == (1, 1, 32, 32)
    assert example["noise"].shape == (1, 4, 4, 4)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_loss_falls(weights: Path, precision: torch.dtype) -> None:
    objective = AutoencoderObjective(weights, frames=2, patch=32)
    network, batch = objective.network().train(), batch_of(objective, 0, 1)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    losses = []
    for _ in range(6):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            found = objective.losses(network, batch)
        found["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(found["loss"].detach()))
    assert set(found) == {"loss", "pixels", "edges", "divergence"}
    assert losses[-1] < 0.8 * losses[0]


def test_temporal_convolutions_are_equivalent(weights: Path) -> None:
    flat, plain = AutoencoderObjective(weights).network().eval(), load_part(weights, "vae")
    latents = torch.from_numpy(np.random.default_rng(0).standard_normal((6, 4, 4, 4), dtype=np.float32))
    with torch.no_grad():
        torch.testing.assert_close(
            flat.decode(latents, num_frames=3).sample, plain.decode(latents, num_frames=3).sample
        )


def test_the_written_weights_are_read(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCALED_BY", 3)
    objective = AutoencoderObjective(weights)
    network = objective.network()
    with torch.no_grad():
        for value in network.parameters():
            value += 0.01
    before = ModelConfig.read(weights)
    objective.write(network, weights)
    stored = load_file(weights / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    assert all(torch.equal(stored[name], value.half()) for name, value in network.state_dict().items())
    config = ModelConfig.read(weights)
    assert replace(config.vae, scaling_factor=before.vae.scaling_factor) == before.vae
    vae = load_part(weights, "vae")
    pictures = [objective.example(np.random.default_rng((number, 0x5CA1E)))["pictures"][0] for number in range(3)]
    scaled = config.vae.scaling_factor * torch.stack([encode_portrait(vae, picture) for picture in pictures])
    assert float(scaled.std()) == pytest.approx(1, rel=1e-3)


def test_unknown_entries_of_the_config_are_kept(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCALED_BY", 1)
    path = weights / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"_class_name": "AutoencoderKLTemporalDecoder"}))
    objective = AutoencoderObjective(weights)
    objective.write(objective.network(), weights)
    assert json.loads(path.read_text())["_class_name"] == "AutoencoderKLTemporalDecoder"


def test_evaluation_reports_psnr(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1)
    objective = AutoencoderObjective(weights)
    found = objective.measure(objective.network())
    assert set(found) == {"portraits PSNR", "clips PSNR", "face PSNR", "deviation"}
    assert all(3 < found[name] < 40 for name in found if name != "deviation")

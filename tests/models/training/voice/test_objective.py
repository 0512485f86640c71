"""The voice's examples, losses and measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.miniature.init_weights import init_weights
from models.training.voice.clip_file import SpokenClip, VoiceClipFile, write_voice_clip
from models.training.voice.objective import VoiceObjective
from models.training.voice.world import write_synthetic_clip
from models.voice import VoiceNetwork
from models.weights import load_voice
from tests.small import QUICK
from troupe import Picture, Track
from troupe.errors import SettingsError

FEATURES, FRAMES, SPECTRA = 128, 40, 300


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("training") / "weights"
    init_weights(directory, 0, QUICK)
    return directory


def directions() -> Tensor:
    return torch.linalg.qr(torch.randn(FEATURES, 6, generator=torch.Generator().manual_seed(7)))[0]


def write_clips(folder: Path, sounds: int) -> Path:
    """Clips whose first direction is the loudness of the sound, and whose others are the driver's."""
    rng = np.random.default_rng(0)
    for name, count in (("learning", 8), ("measuring", 2)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            times = torch.arange(FRAMES, dtype=torch.float64) / 15

            def spoken(rest: Tensor, times: Tensor = times) -> SpokenClip:
                opening = np.abs(np.sin(np.arange(SPECTRA) / rng.uniform(12, 30) + rng.uniform(0, 6)))
                spectra = np.repeat(-4 + 2 * opening[:, None], 80, axis=1)
                at = torch.from_numpy(np.interp(times.numpy() * 100, np.arange(SPECTRA), 3 * opening)).float()
                return SpokenClip(torch.from_numpy(spectra).float(), rest + at[:, None] @ directions()[:, :1].T)

            slow = torch.from_numpy(rng.standard_normal((FRAMES, 5))).float()
            rest = 1.5 * slow @ directions()[:, 1:].T
            own, *others = [spoken(rest) for _ in range(sounds)]
            write_voice_clip(folder / name / f"{number}.safetensors", times, own.target, [own, *others])
    return folder


def trained(objective: VoiceObjective, steps: int) -> VoiceNetwork:
    torch.manual_seed(0)
    network = objective.network()
    assert isinstance(network, VoiceNetwork)
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    for step in range(steps):
        examples = [objective.example(np.random.default_rng((step, number))) for number in range(4)]
        batch = {name: torch.stack([example[name] for example in examples]) for name in examples[0]}
        optimizer.zero_grad()
        objective.losses(network, batch)["loss"].backward()
        optimizer.step()
    return network


@pytest.mark.parametrize("sounds", [pytest.param(3, marks=pytest.mark.long), 1])
def test_what_the_sound_determines_is_found(weights: Path, tmp_path: Path, sounds: int) -> None:
    """Also where each clip has its own sound only, as footage has."""
    objective = VoiceObjective(weights, write_clips(tmp_path / "clips", sounds), rank=2, width=16, seconds=1.0)
    network = trained(objective, 60)
    objective.write(network, weights)
    shared = (load_voice(weights).subspace.T @ directions()).square().sum(dim=0)
    assert shared[0] > 0.8, "the direction of the sound"
    assert shared[1:].max() < 0.2, "the driver's own"
    measured = objective.measure(network)
    assert measured["correlation"] > 0.8
    assert measured["explained"] > 0.5
    assert load_voice(weights).config.rank == (2 if sounds > 1 else 1)


def test_examples_have_equal_shapes_and_frames_where_their_sound_is(weights: Path, tmp_path: Path) -> None:
    objective = VoiceObjective(weights, write_clips(tmp_path / "clips", 2), seconds=1.0, frames=5)
    reach = objective.config.reach
    for seed in range(20):
        one, again = (objective.example(np.random.default_rng(seed)) for _ in range(2))
        assert all(torch.equal(one[name], again[name]) for name in one)
        shapes = [tuple(value.shape) for value in one.values()]
        assert shapes == [(100 + 2 * reach, 80), (5,), (5, FEATURES), (5, FEATURES), ()]
        assert 0 <= one["places"].min() <= one["places"].max() <= 99
        assert 0 <= one["spectra"].min() <= one["spectra"].max() <= 1.5
    with pytest.raises(SettingsError, match="least_explained is 1"):
        VoiceObjective(weights, tmp_path / "clips", least_explained=1.0)


def test_a_drawn_driver_speaks_several_sounds(tmp_path: Path) -> None:
    def encode(frames: list[Picture], _: Track) -> Tensor:
        return torch.stack([torch.from_numpy(frame[::4, ::4, 0].astype(np.float32)).flatten() for frame in frames])

    for name in ("one", "again"):
        write_synthetic_clip(tmp_path / name, 4, 9, 3, encode)  # type: ignore[arg-type]
    assert (tmp_path / "one").read_bytes() == (tmp_path / "again").read_bytes()
    clip = VoiceClipFile(tmp_path / "one")
    own, other, silence = (clip.spoken(number) for number in range(3))
    assert len(set(clip.lengths)) == 1
    assert torch.allclose(own.target, clip.driver(), atol=0.1)
    assert not torch.equal(other.target, own.target)
    assert (own.spectra != other.spectra).any()
    assert (silence.spectra == -12).all()
    damaged = tmp_path / "damaged"
    damaged.write_bytes(b"x")
    with pytest.raises(SettingsError, match="delete it"):
        VoiceClipFile(damaged)

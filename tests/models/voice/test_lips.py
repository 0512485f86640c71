"""Motion with lips that follow a sound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from models.motion import Motion
from models.voice import SAMPLE_RATE, exchange_lips
from models.voice.lips import lip_coordinates
from models.voice.log_mel import MEL_RATE
from tests.models.voice.networks import random_voice

VOICE = random_voice()
SECONDS = 3.0
SOUND = np.random.default_rng(0).uniform(-0.3, 0.3, int(SECONDS * SAMPLE_RATE)).astype(np.float32)
SOUND *= (np.arange(len(SOUND)) // 4000 % 3 > 0).astype(np.float32)


def blocks(size: int = len(SOUND)) -> Any:
    def sound() -> Iterator[np.ndarray]:
        for at in range(0, len(SOUND), size):
            yield SOUND[at : at + size]

    return sound


def motion(frames: int, seed: int = 0) -> Motion:
    rng = torch.Generator().manual_seed(seed)
    return Motion(
        torch.randn(frames, 128, generator=rng),
        torch.randn(frames, 3, generator=rng),
        torch.full((-(-frames // 12), 2), 40),
    )


def test_a_stream_is_the_whole() -> None:
    spectra = torch.rand(700, 80)
    silence = torch.zeros(VOICE.config.reach, 80)
    whole = VOICE(torch.cat([silence, spectra, silence])[None])[0]
    for size, chunk in ((700, 1000), (1, 50), (64, 64), (300, 1)):
        streamed = torch.cat(list(VOICE.stream(spectra.split(size), chunk)))
        assert torch.allclose(streamed, whole, atol=1e-5), (size, chunk)


def test_coordinates_do_not_depend_on_blocks_or_the_frame_rate() -> None:
    fine = np.arange(int(SECONDS * 60)) / 60
    found = lip_coordinates(VOICE, fine, blocks())
    assert torch.allclose(lip_coordinates(VOICE, fine, blocks(777)), found, atol=1e-5)
    assert torch.allclose(lip_coordinates(VOICE, fine[::6], blocks()), found[::6], atol=1e-5)
    uneven = np.sort(np.random.default_rng(1).choice(fine, 40, replace=False))
    assert torch.allclose(lip_coordinates(VOICE, uneven, blocks(4000)), found[np.searchsorted(fine, uneven)], atol=1e-5)
    assert found.std(dim=0).min() > 0


def test_after_the_sound_is_silence() -> None:
    times = np.arange(0, SECONDS + 30, 0.04)
    found = lip_coordinates(VOICE, times, blocks())
    closed = lip_coordinates(VOICE, np.arange(3) + 10.0, lambda: iter([np.zeros(SAMPLE_RATE, np.float32)]))
    after = times > SECONDS + (VOICE.config.reach + 3) / MEL_RATE
    assert torch.allclose(found[after], closed[:1].expand(int(after.sum()), -1), atol=1e-5)
    assert torch.allclose(lip_coordinates(VOICE, times[:2], lambda: iter(())), closed[:1].expand(2, -1), atol=1e-5)


def test_only_the_subspace_changes() -> None:
    shots = (motion(30), motion(20, seed=1))
    times = np.arange(50) / 25
    moved = exchange_lips(VOICE, shots, times, blocks(), window=12)
    expected = lip_coordinates(VOICE, times, blocks())
    basis = VOICE.subspace
    assert torch.allclose(basis.T @ basis, torch.eye(4), atol=1e-5)
    for before, after, coordinates in zip(shots, moved, expected.split([30, 20]), strict=True):
        change = after.expression - before.expression
        assert torch.allclose(change - change @ basis @ basis.T, torch.zeros_like(change), atol=1e-3)
        assert torch.allclose((after.expression - VOICE.mean) / VOICE.scale @ basis, coordinates, atol=1e-3)
        assert torch.equal(after.rotation, before.rotation)


def test_the_intensity_changes_with_the_features() -> None:
    still = Motion(torch.ones(24, 128), torch.zeros(24, 3), torch.zeros(2, 2, dtype=torch.int64))
    shots = (motion(36), still)
    moved = exchange_lips(VOICE, shots, np.arange(60) / 25, blocks(), window=12)
    assert (moved[0].intensity[:, 0] == 40).all()
    assert (moved[0].intensity[:, 1] != 40).any()
    assert (moved[1].intensity[:, 1] > 0).all(), "lips move in a clip that holds still"
    own = VOICE.exchange(shots[0].expression, (shots[0].expression - VOICE.mean) / VOICE.scale @ VOICE.subspace)
    assert torch.allclose(own, shots[0].expression, atol=1e-3)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit shots of 30 frames"):
        exchange_lips(VOICE, [motion(30)], np.arange(29) / 25, blocks(), window=12)
    other = Motion(torch.zeros(2, 64), torch.zeros(2, 3), torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="features of 64 numbers, not 128"):
        exchange_lips(VOICE, [other], np.arange(2) / 25, blocks(), window=12)

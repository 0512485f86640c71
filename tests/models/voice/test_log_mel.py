"""Spectra of sounds, block by block."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.voice.log_mel import BANDS, MEL_RATE, QUIETEST, SAMPLE_RATE, SILENCE, SpeechLevel, normalise, spectra_of

SECONDS = 2
NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, SECONDS * SAMPLE_RATE).astype(np.float32)


def tone(hertz: float, amplitude: float = 0.5) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hertz * np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)


def level_of(samples: np.ndarray) -> float:
    level = SpeechLevel()
    for spectra in spectra_of([samples]):
        level.update(spectra)
    return level.value


@pytest.mark.parametrize("block", [1, 80, 400, 4_099])
def test_blocks_change_nothing(block: int) -> None:
    samples = NOISE[:5000]
    whole = torch.cat(list(spectra_of([samples])))
    parts = torch.cat(list(spectra_of(samples[at : at + block] for at in range(0, len(samples), block))))
    assert torch.allclose(whole, parts, atol=1e-4)
    assert len(whole) == len(samples) * MEL_RATE // SAMPLE_RATE + 1


def test_a_spectrum_is_where_its_sound_is() -> None:
    click = np.zeros(SAMPLE_RATE, np.float32)
    click[8000] = 1.0
    spectra = torch.cat(list(spectra_of([click])))
    assert spectra.sum(dim=1).argmax() == 8000 * MEL_RATE // SAMPLE_RATE
    bands = [int(torch.cat(list(spectra_of([tone(hertz)])))[100].argmax()) for hertz in (200, 1000, 4000)]
    # 3, 15 and 35.2 of 45.2 mels, in 81 steps.
    assert bands == [4, 26, 62]
    assert BANDS == 80


def test_the_level_follows_the_gain_and_nothing_else_changes() -> None:
    quiet = NOISE / 16
    assert level_of(NOISE) - level_of(quiet) == pytest.approx(2 * np.log10(16), abs=0.02)
    loud_part, quiet_part = (
        normalise(torch.cat(list(spectra_of([samples]))), level_of(samples)) for samples in (NOISE, quiet)
    )
    assert (loud_part - quiet_part).abs().max() < 0.01


def test_silence_is_zero_whatever_its_level() -> None:
    hum = tone(50, 1e-4)
    assert level_of(hum) == level_of(np.zeros(0, np.float32)) == QUIETEST
    for level in (QUIETEST, -2.0):
        assert normalise(torch.full((3, BANDS), SILENCE), level).max() == 0

"""The voice follows the mouth and the seeds."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from models.miniature import Performance, synthesise_voice

NTSC = Fraction(30000, 1001)


def loudness(wave: np.ndarray, frames: int) -> np.ndarray:
    """Return the root mean square of the sound around each frame."""
    at = (np.arange(frames) * len(wave) / frames).astype(int)
    reach = len(wave) // frames // 2
    return np.array([np.sqrt(np.mean(wave[max(k - reach, 0) : k + reach] ** 2)) for k in at])


@pytest.mark.parametrize("sample_rate", [16_000, 24_000, 48_000])
@pytest.mark.parametrize("rate", [25, NTSC])
def test_sound_is_as_long_as_the_picture(rate: Fraction | int, sample_rate: int) -> None:
    wave = synthesise_voice(1, 2, 50, rate, sample_rate)
    assert wave.shape == (round(50 / Fraction(rate) * sample_rate),)
    assert wave.dtype == np.float32
    assert 0.2 < np.abs(wave).max() <= 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("sample_rate", [16_000, 48_000])
def test_loudness_follows_the_mouth(seed: int, sample_rate: int) -> None:
    frames = 200
    opening = np.array([moment.mouth for moment in Performance.from_seed(seed, frames, 25).moments])
    loud = loudness(synthesise_voice(seed + 10, seed, frames, 25, sample_rate), frames)
    assert np.corrcoef(opening, loud)[0, 1] > 0.97
    assert loud[opening > 0.5].min() > 5 * loud[opening < 0.01].max()


def test_equal_seeds_sound_the_same() -> None:
    assert np.array_equal(synthesise_voice(1, 2, 25, 25), synthesise_voice(1, 2, 25, 25))
    assert not np.array_equal(synthesise_voice(1, 2, 25, 25), synthesise_voice(1, 3, 25, 25))


def test_voices_differ() -> None:
    """The strongest frequency depends on the speaker, not on the performance."""
    spectra = [np.abs(np.fft.rfft(synthesise_voice(person, 2, 50, 25, 16_000))) for person in range(6)]
    assert len({int(spectrum[:1000].argmax()) // 4 for spectrum in spectra}) > 3


def test_the_sound_has_no_clicks() -> None:
    wave = synthesise_voice(1, 2, 100, 25, 48_000)
    assert np.abs(np.diff(wave)).max() < 0.35
    assert np.abs(wave[:100]).max() < 0.05

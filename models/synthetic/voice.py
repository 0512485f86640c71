"""What a person of the miniature world sounds like: vowels whose loudness follows the mouth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from models.synthetic.performance import Performance, Series
from models.synthetic.person import Identity
from troupe import Floats

__all__ = ["SAMPLE_RATE", "synthesise_voice"]

SAMPLE_RATE = 48_000

_CONTROL_RATE = 200  # of everything that changes slowly, a second
_HIGHEST = 3600.0  # Hz
_LOUDNESS = 0.22  # root mean square of the sound of a wide open mouth
_VIBRATO = (0.012, 5.3)  # share of the pitch, Hz
# First three formants of "ooh", "ah" and "ee", Hz: averages of adults, rounded.
_FORMANTS = np.array([(340.0, 870.0, 2300.0), (740.0, 1250.0, 2550.0), (310.0, 2250.0, 2950.0)])
_BANDWIDTHS = np.array([80.0, 110.0, 170.0])
_STRENGTHS = np.array([1.0, 0.6, 0.25])


def synthesise_voice(
    identity_seed: int, performance_seed: int, frames: int, rate: Fraction | float, sample_rate: int = SAMPLE_RATE
) -> Floats:
    """The sound of the clip of the same numbers, exactly as long.

    Returns:
        (samples,), mono, -1..1.
    """
    identity = Identity.from_seed(identity_seed)
    performance = Performance.from_seed(performance_seed, frames, rate)
    return _speak(performance, identity.voice, round(frames / performance.rate * sample_rate), sample_rate)


def _speak(performance: Performance, pitch: float, samples: int, sample_rate: int) -> Floats:
    """Harmonics of the pitch, weighted by the vowels' formants, as loud as the mouth is open."""
    speech = performance.speech
    slow = np.arange(int(performance.seconds * _CONTROL_RATE) + 2) / _CONTROL_RATE
    opening, rounding = speech.opening.at(slow), speech.rounding.at(slow)
    depth, speed = _VIBRATO
    frequency = pitch * speech.melody.at(slow) * (1 + depth * np.sin(2 * np.pi * speed * slow))

    formants = _vowel(rounding) * (0.94 + 0.0008 * (pitch - 60))  # a higher voice has a shorter throat
    harmonics = np.arange(1, int(min(_HIGHEST, 0.4 * sample_rate) / pitch) + 1)
    above = harmonics[:, None, None] * frequency[:, None]  # (harmonics, slow, 1)
    resonance = (_STRENGTHS / (1 + ((above - formants) / _BANDWIDTHS) ** 2)).sum(axis=2)
    gains = resonance * harmonics[:, None] ** -0.8
    gains *= opening * np.sqrt(2) * _LOUDNESS / np.sqrt((gains**2).sum(axis=0))

    t = np.arange(samples) / sample_rate
    phase = 2 * np.pi * np.cumsum(np.interp(t, slow, frequency)) / sample_rate
    wave = np.zeros(samples)
    for k, gain in zip(harmonics, gains, strict=True):
        wave += np.interp(t, slow, gain) * np.sin(k * phase)
    return np.clip(wave, -1, 1).astype(np.float32)


def _vowel(rounding: Series) -> Series:
    """(N, 3) formants for (N,) of -1 ("ooh") over 0 ("ah") to 1 ("ee")."""
    return np.stack([np.interp(rounding, [-1, 0, 1], formant) for formant in _FORMANTS.T], axis=1)

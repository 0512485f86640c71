"""Voices of the synthetic world: vowels whose loudness follows the mouth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from models.synthetic.performance import Performance, Series
from models.synthetic.person import Identity
from troupe import Floats

__all__ = ["SAMPLE_RATE", "synthesise_voice"]

SAMPLE_RATE = 48_000

_CONTROL_RATE = 200  # samples per second of everything that changes slowly
_HIGHEST = 3600.0  # highest harmonic, Hz
_LOUDNESS = 0.22  # root mean square at a fully open mouth
_VIBRATO = (0.012, 5.3)  # depth as a share of the pitch, and rate in Hz
# First three formants of "ooh", "ah" and "ee" in Hz: rounded averages of adults.
_FORMANTS = np.array([(340.0, 870.0, 2300.0), (740.0, 1250.0, 2550.0), (310.0, 2250.0, 2950.0)])
_BANDWIDTHS = np.array([80.0, 110.0, 170.0])
_STRENGTHS = np.array([1.0, 0.6, 0.25])


def synthesise_voice(
    identity_seed: int, performance_seed: int, frames: int, rate: Fraction | float, sample_rate: int = SAMPLE_RATE
) -> Floats:
    """Synthesise the sound of `draw_clip` with the same seeds, frames and rate, exactly as long.

    Returns:
        (samples,) float32, mono, -1..1.
    """
    identity = Identity.from_seed(identity_seed)
    performance = Performance.from_seed(performance_seed, frames, rate)
    return _speak(performance, identity.voice, round(frames / performance.rate * sample_rate), sample_rate)


def _speak(performance: Performance, pitch: float, samples: int, sample_rate: int) -> Floats:
    """Add up the harmonics of the pitch, weighted by the vowels' formants and by the openness of the mouth."""
    speech = performance.speech
    slow = np.arange(int(performance.seconds * _CONTROL_RATE) + 2) / _CONTROL_RATE
    opening, rounding = speech.opening.at(slow), speech.rounding.at(slow)
    depth, speed = _VIBRATO
    frequency = pitch * speech.melody.at(slow) * (1 + depth * np.sin(2 * np.pi * speed * slow))

    formants = _vowel(rounding) * (0.94 + 0.0008 * (pitch - 60))  # a higher voice has a shorter vocal tract
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
    """Return formants (N, 3) for roundings (N,) from -1 ("ooh") through 0 ("ah") to 1 ("ee")."""
    return np.stack([np.interp(rounding, [-1, 0, 1], formant) for formant in _FORMANTS.T], axis=1)

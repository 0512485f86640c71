"""Training clips of the voice from the synthetic world, where a driver can be shown speaking anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.miniature import FIRST_HELD_OUT_SEED, Identity, Moment, Performance, render, synthesise_voice
from models.training.synthetic_clips import JITTER, SIZES
from models.training.voice.clip_file import SpokenClip, write_voice_clip
from models.voice import SAMPLE_RATE
from models.voice.log_mel import SILENCE, spectra_of
from troupe import Picture, Track

__all__ = ["speaking", "write_synthetic_clip"]

RATES = (10.0, 30.0)
"""Range of frame rates, sampled log-uniformly."""
SILENT_EVERY = 4
"""One in this many clips has silence as its last sound."""

Encode = Callable[[Sequence[Picture], Track], Tensor]
"""Frames and their track to expression features (F, E)."""


def speaking(driver: Sequence[Moment], speech: Sequence[Moment]) -> list[Moment]:
    """Return a driver's moments with the mouth of others."""
    return [replace(one, mouth=other.mouth, width=other.width) for one, other in zip(driver, speech, strict=True)]


def write_synthetic_clip(
    path: Path, number: int, frames: int, sounds: int, encode: Encode, *, held_out: bool = False
) -> None:
    """Draw, encode and write the clip of a number: one driver with its own and with other people's sounds.

    Args:
        number: 0 or more; equal numbers give equal clips.
        sounds: number of sounds, the driver's own included.
        held_out: whether to use people and performances that are never trained on.
    """
    rng = np.random.default_rng((number, 0x70CE, held_out))
    lowest = FIRST_HELD_OUT_SEED * held_out

    def seed() -> int:
        return int(rng.integers(FIRST_HELD_OUT_SEED)) + lowest

    rate = Fraction(float(np.exp(rng.uniform(*np.log(RATES))))).limit_denominator(1001)
    person, performance = seed(), seed()
    identity, moments = Identity.from_seed(person), Performance.from_seed(performance, frames, rate).moments
    size = (int(rng.integers(*SIZES)), int(rng.integers(*SIZES)))
    noise = rng.standard_normal((frames, 4), dtype=np.float32), rng.standard_normal((5, 2), dtype=np.float32)

    def features(shown: Sequence[Moment]) -> Tensor:
        shots = [render(identity, moment, size) for moment in shown]
        boxes = np.stack([face.box for _, face in shots])
        keypoints = np.stack([face.keypoints for _, face in shots])
        jitter = np.float32(JITTER * (boxes[:, 2] - boxes[:, 0]).mean())
        track = Track(boxes + jitter * noise[0], keypoints + jitter / 2 * noise[1], np.ones(frames, np.float32))
        return encode([picture for picture, _ in shots], track)

    def spectra(speaker: int, speech: int) -> Tensor:
        return torch.cat(list(spectra_of([synthesise_voice(speaker, speech, frames, rate, SAMPLE_RATE)])))

    driver = features(moments)
    spoken = [SpokenClip(spectra(person, performance), driver)]
    for _ in range(1, sounds):
        other = seed()
        speech = Performance.from_seed(other, frames, rate).moments
        spoken.append(SpokenClip(spectra(seed(), other), features(speaking(moments, speech))))
    if number % SILENT_EVERY == 0 and sounds > 1:
        silent = [Moment()] * frames
        spectra_of_silence = torch.full_like(spoken[-1].spectra, SILENCE)
        spoken[-1] = SpokenClip(spectra_of_silence, features(speaking(moments, silent)))
    times = torch.arange(frames, dtype=torch.float64) / float(rate)
    write_voice_clip(path, times, driver, spoken)

"""Synthetic training clips, in any number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.miniature import FIRST_HELD_OUT_SEED, Identity, Performance, render
from troupe import Picture, Track

__all__ = ["SyntheticClip", "synthetic_clip"]

RATES = (3.0, 30.0)
"""Range of frame rates, sampled log-uniformly: a few frames should show large head turns as well as small ones."""
SIZES = (144, 256)
"""Range of a picture's sides in pixels."""
JITTER = 0.012
"""Standard deviation of boxes, and twice that of keypoints, as a share of the face's width, like a detector's errors.
Keypoints have the same error in all frames; otherwise intensities would measure it and not the motion."""


@dataclass(frozen=True, eq=False)
class SyntheticClip:
    """A clip of one person.

    Attributes:
        frames: (H, W, 3) each.
        track: track of the face, with a detector's jitter.
    """

    frames: list[Picture]
    track: Track


def synthetic_clip(number: int, frames: int, cast: int, *, held_out: bool = False) -> SyntheticClip:
    """Draw the clip of a number; equal numbers give equal clips.

    Args:
        number: 0 or more. `cast` consecutive numbers, from a multiple of `cast` on, show one performance by as many
            people.
        frames: number of frames.
        cast: number of people per performance.
        held_out: whether to use people and performances that are never trained on.
    """
    performance, rng = number // cast, np.random.default_rng((number, 0xC11B, held_out))
    person = int(rng.integers(FIRST_HELD_OUT_SEED))
    if held_out:
        performance, person = performance + FIRST_HELD_OUT_SEED, person + FIRST_HELD_OUT_SEED
    identity = Identity.from_seed(person)
    size = (int(rng.integers(*SIZES)), int(rng.integers(*SIZES)))
    # The same rate for all people of the performance.
    rate = float(np.exp(np.random.default_rng((performance, 0x4A7E)).uniform(*np.log(RATES))))
    shots = [render(identity, moment, size) for moment in Performance.from_seed(performance, frames, rate).moments]
    boxes = np.stack([face.box for _, face in shots])
    keypoints = np.stack([face.keypoints for _, face in shots])
    jitter = np.float32(JITTER * (boxes[:, 2] - boxes[:, 0]).mean())
    boxes += jitter * rng.standard_normal(boxes.shape, dtype=np.float32)
    keypoints += jitter / 2 * rng.standard_normal(keypoints.shape[1:], dtype=np.float32)
    return SyntheticClip([picture for picture, _ in shots], Track(boxes, keypoints, np.ones(frames, np.float32)))

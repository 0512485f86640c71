"""Somebody at some moment, drawn by lot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.miniature import MEASURING, Identity, Moment, Performance

__all__ = ["any_moment", "anybody", "elsewhere"]

_FRAMES, _RATE = 8, 3.0


def anybody(rng: np.random.Generator, measuring: bool = False) -> Identity:
    """A person to learn from; with `measuring`, one to measure with."""
    return Identity.from_seed(int(rng.integers(MEASURING)) + MEASURING * measuring)


def any_moment(rng: np.random.Generator, measuring: bool = False) -> Moment:
    """A moment of some performance; see `anybody`."""
    seed = int(rng.integers(MEASURING)) + MEASURING * measuring
    return Performance.from_seed(seed, _FRAMES, _RATE).moments[int(rng.integers(_FRAMES))]


def elsewhere(person: Identity, other: Identity) -> Identity:
    """The person in the other's clothes, before the other's wall."""
    return replace(
        person,
        garment=other.garment,
        cloth=other.cloth,
        trim=other.trim,
        backdrop=other.backdrop,
        wall=other.wall,
        accent=other.accent,
    )

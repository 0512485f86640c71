"""Somebody at some moment, drawn by lot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.miniature import FIRST_HELD_OUT_SEED, Identity, Moment, Performance

__all__ = ["sample_identity", "sample_moment", "swap_outfit"]

_FRAMES, _RATE = 8, 3.0


def sample_identity(rng: np.random.Generator, measuring: bool = False) -> Identity:
    """A person to learn from; with `measuring`, one to measure with."""
    return Identity.from_seed(int(rng.integers(FIRST_HELD_OUT_SEED)) + FIRST_HELD_OUT_SEED * measuring)


def sample_moment(rng: np.random.Generator, measuring: bool = False) -> Moment:
    """A moment of some performance; see `sample_identity`."""
    seed = int(rng.integers(FIRST_HELD_OUT_SEED)) + FIRST_HELD_OUT_SEED * measuring
    return Performance.from_seed(seed, _FRAMES, _RATE).moments[int(rng.integers(_FRAMES))]


def swap_outfit(person: Identity, other: Identity) -> Identity:
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

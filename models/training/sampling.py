"""Random identities and moments of the synthetic world."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.miniature import FIRST_HELD_OUT_SEED, Identity, Moment, Performance

__all__ = ["sample_identity", "sample_moment", "swap_outfit"]

_FRAMES, _RATE = 8, 3.0


def sample_identity(rng: np.random.Generator, held_out: bool = False) -> Identity:
    """Sample a person to train on or, with `held_out`, to evaluate on."""
    return Identity.from_seed(int(rng.integers(FIRST_HELD_OUT_SEED)) + FIRST_HELD_OUT_SEED * held_out)


def sample_moment(rng: np.random.Generator, held_out: bool = False) -> Moment:
    """Sample a moment of a random performance; see `sample_identity`."""
    seed = int(rng.integers(FIRST_HELD_OUT_SEED)) + FIRST_HELD_OUT_SEED * held_out
    return Performance.from_seed(seed, _FRAMES, _RATE).moments[int(rng.integers(_FRAMES))]


def swap_outfit(person: Identity, other: Identity) -> Identity:
    """Return the person with the clothes and the backdrop of another."""
    return replace(
        person,
        garment=other.garment,
        cloth=other.cloth,
        trim=other.trim,
        backdrop=other.backdrop,
        wall=other.wall,
        accent=other.accent,
    )

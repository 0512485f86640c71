"""Words of messages."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun, in the plural unless it is one: `1 frame`, `2 frames`.

    Args:
        plural: the noun's plural, if that is not the noun with an `s`.
    """
    return f"{number} {noun if number == 1 else plural or noun + 's'}"

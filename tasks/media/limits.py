"""Limits on the size of inputs, set by environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from troupe.errors import SettingsError

__all__ = ["Limits", "limits"]

_PREFIX = "TROUPE_MAX_"


@dataclass(frozen=True)
class Limits:
    """Limits above which an input is `TooLarge`; each can be set by an environment variable of the run and its workers.

    Attributes:
        picture_pixels: pixels of a portrait; set by `TROUPE_MAX_PICTURE_PIXELS`, and so on.
        clip_pixels: pixels per frame; 8K.
        clip_frames: frames per clip; an hour at 60 frames per second.
        clip_seconds: seconds per clip, by its presentation times.
        sound_seconds: seconds of a sound; 12 hours.
        clip_bytes: bytes of all decoded frames of a clip; an hour of 4K at 30 frames per second.
        scan_seconds: seconds that decoding a clip once may take.
        header_bytes: bytes of memory that reading a file's headers may take.
        header_seconds: seconds of a processor that reading a file's headers may take.
    """

    picture_pixels: int = 80_000_000
    clip_pixels: int = 36_000_000
    clip_frames: int = 216_000
    clip_seconds: int = 3600
    sound_seconds: int = 43_200
    clip_bytes: int = 2_700_000_000_000
    scan_seconds: int = 3600
    header_bytes: int = 300_000_000
    header_seconds: int = 5

    def advice(self, name: str, remedy: str) -> str:
        """Return the end of an error message: the limit, a remedy, and how to raise the limit."""
        return f"the limit is {getattr(self, name)}: {remedy}, or set {_PREFIX}{name.upper()}"


def limits() -> Limits:
    """Return the limits, with those that the environment sets.

    Raises:
        SettingsError: a variable is not a whole number above 0.
    """
    overrides = {}
    for field in fields(Limits):
        text = os.environ.get(_PREFIX + field.name.upper(), "").strip()
        if not text:
            continue
        if not text.isdecimal() or int(text) < 1:
            raise SettingsError(f"{_PREFIX}{field.name.upper()} is {text!r}; use a whole number above 0")
        overrides[field.name] = int(text)
    return Limits(**overrides)

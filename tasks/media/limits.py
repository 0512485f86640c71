"""How much of an input is read before it is refused, and how to allow more."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

from troupe.errors import SettingsError

__all__ = ["Limits", "limits"]

_PREFIX = "TROUPE_MAX_"


@dataclass(frozen=True)
class Limits:
    """What is refused as `TooLarge`; each is raised or lowered by an environment variable of the workers.

    Attributes:
        picture_pixels: of a portrait. `TROUPE_MAX_PICTURE_PIXELS`, and so on.
        clip_pixels: of a frame; 8K.
        clip_frames: of a clip; an hour at 60 frames a second.
        clip_seconds: of a clip, as it is shown.
        clip_bytes: of all of a clip's frames, decoded; an hour of 4K at 30 frames a second.
        scan_seconds: that one decoding of a clip may take.
    """

    picture_pixels: int = 80_000_000
    clip_pixels: int = 36_000_000
    clip_frames: int = 216_000
    clip_seconds: int = 3600
    clip_bytes: int = 2_700_000_000_000
    scan_seconds: int = 3600

    def advice(self, name: str, otherwise: str) -> str:
        """The end of a message: what the limit is, what to do, and how to raise it."""
        return f"{getattr(self, name)} are the limit: {otherwise}, or set {_PREFIX}{name.upper()}"


def limits() -> Limits:
    """The limits as the environment has them now.

    Raises:
        SettingsError: a variable holds no whole number above 0.
    """
    given = {}
    for field in fields(Limits):
        text = os.environ.get(_PREFIX + field.name.upper(), "").strip()
        if not text:
            continue
        if not text.isdecimal() or int(text) < 1:
            raise SettingsError(f"{_PREFIX}{field.name.upper()} is {text!r}; give a whole number above 0")
        given[field.name] = int(text)
    return Limits(**given)

"""What is known of a video file."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["ClipInfo"]


@dataclass(frozen=True)
class ClipInfo:
    """A video stream as it decodes.

    Attributes:
        width, height: pixels of a decoded frame, after rotation.
        frames: how many frames decode; 0 where only decoding would tell.
        rate: frames a second, exact.
        seconds: of the picture.
        audio: whether there is a sound stream.
        audio_seconds: its length; 0 without one.
        codec: of the picture, as ffmpeg names it.
        size: bytes of the file.
    """

    width: int
    height: int
    frames: int
    rate: Fraction
    seconds: float
    audio: bool
    audio_seconds: float
    codec: str
    size: int

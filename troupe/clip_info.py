"""Properties of a video file."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

__all__ = ["ClipInfo"]


@dataclass(frozen=True)
class ClipInfo:
    """Properties of a video stream as decoded.

    Attributes:
        width, height: pixels of a decoded frame, after rotation.
        frames: number of frames that decode; 0 if unknown without decoding.
        rate: frames per second, exact.
        seconds: length of the picture.
        audio: whether there is an audio stream.
        audio_seconds: length of the audio stream; 0 without one.
        codec: ffmpeg's name of the video codec.
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

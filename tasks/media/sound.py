"""Where the sound of a video comes from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.media.formats import SOUNDS, opened
from tasks.media.scan import open_clip, picture_stream, sound_stream

__all__ = ["AudioSource", "Sound", "find_sound"]


@dataclass(frozen=True)
class AudioSource:
    """Sound to put under a video.

    Attributes:
        path: a clip, or a file of sound alone.
        start, end: seconds, as for `decode`: in a clip they count from its first frame, and the sound begins
            with the first frame at or after `start`, so that it stays with the picture. In a file of sound
            alone they count from the first sample. `end` None is the end.
    """

    path: Path
    start: float = 0.0
    end: float | None = None


@dataclass(frozen=True)
class Sound:
    """A sound stream that is there, and the part that is meant.

    Attributes:
        path: the file.
        stream: index in the container.
        begin, end: seconds on the container's clock; `end` None is the stream's end.
    """

    path: Path
    stream: int
    begin: float
    end: float | None


def find_sound(audio: AudioSource) -> Sound | None:
    """The part of a sound stream that is meant; None where the file has no sound.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: the file cannot be used.
        InputError: no frame lies between start and end.
    """
    with opened(audio.path, SOUNDS) as container:
        stream = sound_stream(container)
        if stream is None:
            return None
        index = stream.index
        zero = float((stream.start_time or 0) * (stream.time_base or 0))
        with_picture = picture_stream(container) is not None
    if not with_picture:
        return Sound(audio.path, index, zero + audio.start, None if audio.end is None else zero + audio.end)
    clip = open_clip(audio.path)
    first, _ = clip.cut(audio.start, audio.end)
    return Sound(audio.path, index, clip.clock(first), None if audio.end is None else clip.clock(0) + audio.end)

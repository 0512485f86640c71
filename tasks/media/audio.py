"""Where the sound of a video comes from."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import av
import av.container
import av.error
import av.stream

from tasks.media.input_formats import AUDIO_FORMATS, open_container
from tasks.media.scan import audio_stream, scan_clip, video_stream

__all__ = ["AudioSource", "AudioStream", "find_audio"]

PRIMING = 0.06
"""Seconds of a codec's run-up, which players leave out: at most two packets before the sound begins."""
_TRIES = 200
"""Packets of which one must decode: some seconds of sound."""
_HOLE = 0.003
"""Seconds that the rounding of time stamps may look like a hole."""


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
class AudioStream:
    """A sound stream that is there, and the part that is meant.

    Attributes:
        path: the file.
        stream: index in the container.
        begin, end: seconds on the container's clock; `end` None is the stream's end.
        codec: as ffmpeg names it.
    """

    path: Path
    stream: int
    begin: float
    end: float | None
    codec: str

    def whole_for(self, seconds: float) -> bool:
        """Whether the stream itself is what is meant: from its first sample, without a hole, for all of `seconds`.

        Only then can it be copied: packets cannot be cut, and the copy has no silence where there is none.
        """
        expected: float | None = None
        with open_container(self.path, AUDIO_FORMATS) as container, suppress(av.error.FFmpegError):
            for packet in container.demux(container.streams[self.stream]):
                if packet.pts is None or packet.time_base is None or not packet.duration:
                    continue
                at = float(packet.pts * packet.time_base)
                if expected is None and not self.begin - PRIMING <= at <= self.begin + _HOLE:
                    return False
                if expected is not None and abs(at - expected) > _HOLE:
                    return False
                expected = at + float(packet.duration * packet.time_base)
                if expected >= self.begin + seconds:
                    return True
        return False


def find_audio(audio: AudioSource) -> AudioStream | None:
    """The part of a sound stream that is meant; None where the file has no sound, or none that can be decoded.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: the file cannot be used.
        InputError: no frame lies between start and end.
    """
    with open_container(audio.path, AUDIO_FORMATS) as container:
        stream = audio_stream(container)
        if stream is None:
            return None
        index = stream.index
        zero = float((stream.start_time or 0) * (stream.time_base or 0))
        codec = stream.codec_context.codec.canonical_name
        with_picture = video_stream(container) is not None
        if not _is_heard(container, stream):
            return None
    if not with_picture:
        return AudioStream(
            audio.path, index, zero + audio.start, None if audio.end is None else zero + audio.end, codec
        )
    clip = scan_clip(audio.path)
    first, _ = clip.cut(audio.start, audio.end)
    end = None if audio.end is None else clip.clock(0) + audio.end
    return AudioStream(audio.path, index, clip.clock(first), end, codec)


def _is_heard(container: av.container.InputContainer, stream: av.stream.Stream) -> bool:
    """Whether anything decodes: a stream's headers may be damaged while the picture is whole."""
    with suppress(av.error.FFmpegError):
        for packet, _ in zip(container.demux(stream), range(_TRIES), strict=False):
            with suppress(av.error.FFmpegError, ValueError):
                if packet.decode():
                    return True
    return False

"""Find the audio stream for a video."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import av
import av.container
import av.error

from tasks.media.input_formats import AUDIO_FORMATS, audio_stream, open_container, video_stream
from tasks.media.scan import scan_clip

__all__ = ["AudioSource", "AudioStream", "decodes", "find_audio", "sound_of"]

_ONLY = "1 channels ({})"
"""ffmpeg's name of the layout of one labelled channel, as cameras and editors write them, one per stream."""
_PRIMING = 0.06
"""Seconds of codec priming, which players skip: at most two packets before the sound starts."""
_PROBED_PACKETS = 200
"""Number of packets, a few seconds of sound, of which at least one must decode."""
_GAP_TOLERANCE = 0.003
"""Seconds of gap that rounded time stamps may show."""


@dataclass(frozen=True)
class AudioSource:
    """Sound for a video.

    Attributes:
        path: a clip, or an audio file.
        start, end: seconds, as for `decode`: in a clip they count from its first frame, and the sound starts with
            the first frame at or after `start`, so that it stays in sync. In an audio file they count from the
            first sample. `end` None is the end.
        track, video_track: choices of the audio stream and of the clip's video stream; see `tasks.media.input_formats`.
    """

    path: Path
    start: float = 0.0
    end: float | None = None
    track: str = ""
    video_track: str = ""


@dataclass(frozen=True)
class AudioStream:
    """A part of an audio stream.

    Attributes:
        path: the file.
        stream: index of the stream in the container.
        start, end: seconds on the container's clock; `end` None is the stream's end.
        codec: ffmpeg's name of the codec.
        language: language that the container states, ISO 639-2 or BCP 47; may be empty.
        layout: ffmpeg's name of the channel layout.
        channels: number of channels.
        right: index of the stream with the right channel, where this one has the left channel only.
        copyable: whether packets may be copied; `tasks.media.mux.fit_audio` sets this and the next.
        mix: how channels are mixed: `stereo`, arguments of ffmpeg's `pan` filter, or empty for as they are.
    """

    path: Path
    stream: int
    start: float
    end: float | None
    codec: str
    language: str = ""
    layout: str = "stereo"
    channels: int = 2
    right: int | None = None
    copyable: bool = True
    mix: str = ""

    def is_continuous_for(self, seconds: float) -> bool:
        """Whether the part starts at the stream's first sample and has no gap for `seconds`.

        Only then can packets be copied: they cannot be cut, and a copy cannot fill a gap with silence.
        """
        expected: float | None = None
        with open_container(self.path, AUDIO_FORMATS) as container, suppress(av.error.FFmpegError):
            for packet in container.demux(container.streams[self.stream]):
                if packet.pts is None or packet.time_base is None or not packet.duration:
                    continue
                at = float(packet.pts * packet.time_base)
                if expected is None and not self.start - _PRIMING <= at <= self.start + _GAP_TOLERANCE:
                    return False
                if expected is not None and abs(at - expected) > _GAP_TOLERANCE:
                    return False
                expected = at + float(packet.duration * packet.time_base)
                if expected >= self.start + seconds:
                    return True
        return False


def find_audio(audio: AudioSource) -> AudioStream | None:
    """Find the part of an audio stream that a source describes; None if the file has no sound that can be decoded.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: the file cannot be used.
        InputError: there is no frame between start and end, or a chosen stream does not exist.
    """
    sound = sound_of(audio.path, audio.track)
    if sound is None or not decodes(audio.path, sound.stream):
        return None
    with open_container(audio.path, AUDIO_FORMATS) as container:
        has_video = video_stream(container, audio.video_track) is not None
    if not has_video:
        end = None if audio.end is None else sound.start + audio.end
        return replace(sound, start=sound.start + audio.start, end=end)
    clip = scan_clip(audio.path, video_track=audio.video_track)
    first, _ = clip.frame_range(audio.start, audio.end)
    end = None if audio.end is None else clip.container_time(0) + audio.end
    return replace(sound, start=clip.container_time(first), end=end)


def sound_of(path: Path, track: str = "") -> AudioStream | None:
    """Return the whole of a file's audio stream; None if the file has none.

    Args:
        track: choice of the stream; see `tasks.media.input_formats`.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: the file cannot be opened.
        InputError: the chosen stream does not exist.
    """
    with open_container(path, AUDIO_FORMATS) as container:
        stream = audio_stream(container, track)
        if stream is None:
            return None
        context = stream.codec_context
        return AudioStream(
            path,
            stream.index,
            start=float((stream.start_time or 0) * (stream.time_base or 0)),
            end=None,
            codec=context.codec.canonical_name,
            language=stream.language or "",
            layout=context.layout.name,
            channels=context.layout.nb_channels,
            right=_right_of(container, context.layout.name),
        )


def _right_of(container: av.container.InputContainer, layout: str) -> int | None:
    """Return the index of the stream with the right channel alone, if `layout` is the left channel alone."""
    if layout != _ONLY.format("FL"):
        return None
    streams = (stream for stream in container.streams.audio if stream.codec_context is not None)
    return next((stream.index for stream in streams if stream.layout.name == _ONLY.format("FR")), None)


def decodes(path: Path, stream: int) -> bool:
    """Whether any packet of an audio stream decodes: it may be damaged while the picture is not.

    Args:
        stream: index of the stream in the container.
    """
    with open_container(path, AUDIO_FORMATS) as container, suppress(av.error.FFmpegError):
        packets = container.demux(container.streams[stream])
        for packet, _ in zip(packets, range(_PROBED_PACKETS), strict=False):
            with suppress(av.error.FFmpegError, ValueError):
                if packet.decode():
                    return True
    return False

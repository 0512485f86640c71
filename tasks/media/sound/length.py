"""Length of sound, to the sample."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from tasks.media.audio import AudioStream, decodes, sound_of
from tasks.media.input_formats import AUDIO_FORMATS, clip_traits, open_container
from tasks.media.limits import limits
from troupe.errors import TooLarge

__all__ = ["measure_sound", "processor_seconds", "sound_seconds", "sound_traits"]

_BYTES_PER_SECOND = 100_000
_SOUND_PER_SECOND = 100
"""What a second of a processor decodes at least. Usual formats take 3.6 s an hour, and are 10 MB then or more."""


def processor_seconds(path: Path) -> int:
    """Return how many seconds of a processor it may take to measure a sound: by its size and the longest sound."""
    most = limits()
    by_size = path.stat().st_size // _BYTES_PER_SECOND if path.is_file() else 0
    return most.header_seconds + min(by_size, most.sound_seconds // _SOUND_PER_SECOND)


def sound_seconds(audio: AudioStream) -> Fraction:
    """Return the length of a part of an audio stream; see `measure_sound`."""
    return measure_sound(audio)[0]


def measure_sound(audio: AudioStream) -> tuple[Fraction, int]:
    """Return the seconds from the start of a part of an audio stream to the end of its last sample that decodes.

    Headers may be wrong, and packets contain priming that is not heard: the stream is decoded.

    Returns:
        the seconds, and the number of packets that do not decode.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: the file cannot be used, or its sound is too long.
    """
    start, last = Fraction(audio.start).limit_denominator(10**9), Fraction(0)
    maximum, damaged = limits(), 0
    with open_container(audio.path, AUDIO_FORMATS) as container, suppress(av.error.FFmpegError):
        for packet in container.demux(container.streams[audio.stream]):
            if last - start > maximum.sound_seconds:
                advice = maximum.advice("sound_seconds", "cut it into parts")
                raise TooLarge(f"the sound of {audio.path.name} is longer than {maximum.sound_seconds} s; {advice}")
            try:
                for frame in packet.decode():
                    if isinstance(frame, av.AudioFrame) and frame.pts is not None and frame.time_base is not None:
                        last = max(last, frame.pts * frame.time_base + Fraction(frame.samples, frame.sample_rate))
            except (av.error.FFmpegError, ValueError):
                damaged += 1
    if audio.end is not None:
        last = min(last, Fraction(audio.end).limit_denominator(10**9))
    return max(last - start, Fraction(0)), damaged


def sound_traits(path: Path) -> dict[str, Any]:
    """Return the traits of a file of sound: those of a clip, and the lengths of its tracks.

    The picture that the file may have is not decoded: each track is measured from its own start.

    Returns:
        `clip_traits`, and under `seconds` a fraction, as numerator and denominator, by choice of a track: empty for the
        one that is used by default, `index:N` for each where there are several.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: the file cannot be used.
    """
    with open_container(path, AUDIO_FORMATS) as container:
        count = len(container.streams.audio)
    lengths: dict[str, tuple[int, int]] = {}
    by_stream: dict[int, tuple[int, int]] = {}
    for choice in ("", *(f"index:{number}" for number in range(count) if count > 1)):
        audio = sound_of(path, choice)
        if audio is None or not decodes(path, audio.stream):
            continue
        if audio.stream not in by_stream:
            by_stream[audio.stream] = sound_seconds(audio).as_integer_ratio()
        lengths[choice] = by_stream[audio.stream]
    return clip_traits(path) | {"seconds": lengths}

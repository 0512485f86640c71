"""What is in a clip, and its frames one by one."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]
import numpy as np

from tasks.media.formats import CLIPS, source
from tasks.media.process import SCALING, Process
from tasks.media.scan import Clip, every_frame, open_clip
from troupe.clips import ClipInfo
from troupe.errors import FfmpegError, InputError, UnreadableMedia
from troupe.faces import Picture

__all__ = ["decode", "frames_between", "probe", "verify"]

_SAME_SECONDS = 0.002


def probe(path: Path) -> ClipInfo:
    """What is in a clip, as `decode` will deliver it: upright, with square pixels, every frame counted.

    The clip is decoded once for this, with ffmpeg and the very options of `decode`: headers lie, packets are not
    frames, and another decoder might disagree. A clip that has not changed since is not decoded again.

    Raises:
        MissingInput: there is no such file.
        UnreadableMedia: it holds no picture that can be decoded.
        TooLarge: more pixels, frames or seconds than the limits.
    """
    return open_clip(path).info


def frames_between(path: Path, start: float = 0.0, end: float | None = None) -> int:
    """How many frames `decode` yields for the same arguments.

    Raises:
        InputError: as `decode`.
    """
    first, last = open_clip(path).cut(start, end)
    return last - first


def decode(path: Path, start: float = 0.0, end: float | None = None) -> Generator[Picture, None, None]:
    """The frames shown from `start` until before `end`, one by one.

    ffmpeg runs ahead only as far as a pipe holds; closing the iterator ends it at once.

    Args:
        path: the clip.
        start, end: seconds since the clip's first frame; `end` None is the clip's end.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: as `probe`; also if fewer frames decode than were counted.
        InputError: no frame lies between `start` and `end`.
    """
    clip = open_clip(path)
    first, last = clip.cut(start, end)
    with Process(_graph(clip, first, last)) as process:
        for number in range(first if clip.ordered else 0, last):
            picture = np.empty((clip.info.height, clip.info.width, 3), np.uint8)
            try:
                complete = process.read_into(picture.reshape(-1).data)
            except FfmpegError as error:
                raise UnreadableMedia(f"{path.name}, frame {number}: {error.message}") from error
            if not complete:
                raise UnreadableMedia(
                    f"{path.name} stopped decoding at frame {number} of {clip.info.frames}: {process.complaint}"
                )
            if number >= first:
                yield picture


def verify(path: Path, *, frames: int, rate: Fraction, size: tuple[int, int], audio: bool) -> ClipInfo:
    """Probe a video that was just written, and compare it with what was meant.

    Args:
        path: the video.
        frames: how many it must have.
        rate: frames a second.
        size: (width, height) of the frames given to the encoder, which makes odd sides even by one pixel.
        audio: whether it must have sound; the sound must then end with the picture, within a frame.

    Raises:
        FfmpegError: something differs; the message lists all that does.
    """
    try:
        info = probe(path)
    except InputError as error:
        raise FfmpegError(f"the video just written does not decode: {error.message}") from error
    width, height = (side + side % 2 for side in size)
    seconds = float(frames / rate)
    problems = []
    if info.frames != frames:
        problems.append(f"{info.frames} frames instead of {frames}")
    if (info.width, info.height) != (width, height):
        problems.append(f"{info.width}x{info.height} pixels instead of {width}x{height}")
    # Not `info.rate != rate`: in a short clip two close rates give the same time stamps.
    if abs(info.seconds - seconds) > _SAME_SECONDS:
        problems.append(f"{info.seconds:.3f} s at {info.rate} frames/s instead of {seconds:.3f} s at {rate}")
    if info.audio != audio:
        problems.append("no sound" if audio else "sound that was not asked for")
    elif audio and abs(info.audio_seconds - seconds) > 1 / rate:
        problems.append(f"{info.audio_seconds:.3f} s of sound for {seconds:.3f} s of picture")
    if problems:
        raise FfmpegError(f"{path.name} was written wrongly: {', '.join(problems)}; encode it again")
    return info


def _graph(clip: Clip, first: int, last: int) -> Any:
    """From the file to the pixels of frames `first` to `last` - 1, or of all where there are no times to cut by."""
    frames = source(clip.path, CLIPS)[str(clip.stream)]
    if clip.ordered:
        # By time stamp, for the filter forgets how many frames it saw when their format changes midway.
        end = {} if last == clip.info.frames else {"end_pts": int(clip.ticks[last])}
        frames = frames.filter("trim", start_pts=int(clip.ticks[first]), **end)
    # The size is given, not left to ffmpeg: a stream may change it midway, and the pipe has no headers.
    frames = frames.filter(
        "scale", clip.info.width, clip.info.height, flags=SCALING, in_color_matrix=clip.matrix, out_range="pc"
    )
    return ffmpeg.output(frames, "pipe:1", format="rawvideo", pix_fmt="rgb24", **every_frame(clip.tick))

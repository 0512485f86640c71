"""What is in a clip, and its frames one by one."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]
import numpy as np

from tasks.media.ffmpeg_process import SCALING, FfmpegProcess
from tasks.media.input_formats import CLIP_FORMATS, source
from tasks.media.scan import ScannedClip, every_frame, scan_clip
from tasks.media.timing import Timing
from troupe.clip_info import ClipInfo
from troupe.errors import FfmpegError, InputError, UnreadableMedia
from troupe.faces import Picture

__all__ = ["SOUND_SECONDS", "decode", "probe", "timing_of", "verify"]

_SAME_SECONDS = 0.002
SOUND_SECONDS = 0.03
"""Sound that is copied ends with a packet of its own, of 1024 samples or 1152."""
_REFERENCE_WHITE = 203
"""Candelas a square metre of a white sheet in HDR pictures (ITU-R BT.2408): it becomes SDR's white."""
_KNEE = 0.7
"""Of SDR's white, in linear light: what is darker stays as it is, what is brighter is compressed into the rest."""


def probe(path: Path) -> ClipInfo:
    """What is in a clip, as `decode` will deliver it: upright, with square pixels, every frame counted.

    The clip is decoded once for this, with ffmpeg and the very options of `decode`: headers lie, packets are not
    frames, and another decoder might disagree. A clip that has not changed since is not decoded again.

    Raises:
        MissingInput: there is no such file.
        UnreadableMedia: it holds no picture that can be decoded.
        TooLarge: more pixels, frames or seconds than the limits.
    """
    return scan_clip(path).info


def timing_of(path: Path, start: float = 0.0, end: float | None = None, fps: Fraction | None = None) -> Timing:
    """When the frames that `decode` yields for the same arguments are shown, from 0.

    Raises:
        InputError: as `decode`.
    """
    clip = scan_clip(path, fps)
    part = clip.timing.part(*clip.cut(start, end))
    return part if fps is None else part.resampled(fps)[0]


def decode(
    path: Path, start: float = 0.0, end: float | None = None, fps: Fraction | None = None
) -> Generator[Picture, None, None]:
    """The frames shown from `start` until before `end`, one by one.

    ffmpeg runs ahead only as far as a pipe holds; closing the iterator ends it at once. What is of high dynamic range
    or in a wide gamut is brought to BT.709, what is transparent is laid on white.

    Args:
        path: the clip, a file or a folder of pictures.
        start, end: seconds since the clip's first frame; `end` None is the clip's end.
        fps: frames a second to yield instead of the clip's own frames: some are then left out, others repeated. Of
            pictures, which have no times, all are yielded, and `start` and `end` count by this rate.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: as `probe`; also if fewer frames decode than were counted.
        InputError: no frame lies between `start` and `end`.
    """
    clip = scan_clip(path, fps)
    first, last = clip.cut(start, end)
    times = np.ones(last - first, dtype=np.int64)
    if fps is not None:
        shown = clip.timing.part(first, last).resampled(fps)[1]
        times = np.bincount(shown, minlength=last - first)
    with FfmpegProcess(_graph(clip, first, last)) as process:
        for number in range(first if clip.ordered else 0, last):
            frame = _read(process, clip, number)
            for again in range(int(times[number - first]) if number >= first else 0):
                yield frame.copy() if again else frame


def _read(process: FfmpegProcess, clip: ScannedClip, number: int) -> Picture:
    """The next frame, which is the clip's `number`-th."""
    frame = np.empty((clip.info.height, clip.info.width, 4 if clip.alpha else 3), np.uint8)
    try:
        complete = process.read_into(frame.reshape(-1).data)
    except FfmpegError as error:
        raise UnreadableMedia(f"{clip.path.name}, frame {number}: {error.message}") from error
    if not complete:
        raise UnreadableMedia(
            f"{clip.path.name} stopped decoding at frame {number} of {clip.info.frames}: {process.complaint}"
        )
    return _on_white(frame) if clip.alpha else frame


def _on_white(frame: Picture) -> Picture:
    """(H, W, 4) with alpha to (H, W, 3) on a white ground, as a portrait's transparency."""
    alpha = frame[..., 3:].astype(np.uint16)
    mixed = frame[..., :3] * alpha + 255 * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)


def verify(
    path: Path, *, frames: int, rate: Fraction, size: tuple[int, int], audio: bool, timing: Timing | None = None
) -> ClipInfo:
    """Probe a video that was just written, and compare it with what was meant.

    Args:
        path: the video.
        frames: how many it must have.
        rate: frames a second.
        size: (width, height) of its frames.
        audio: whether it must have sound; the sound must then end with the picture, within a frame or `SOUND_SECONDS`.
        timing: of its frames, where they are not evenly spaced. (How long the last one is shown, not every container
            says.)

    Raises:
        FfmpegError: something differs; the message lists all that does.
    """
    try:
        info = probe(path)
    except InputError as error:
        raise FfmpegError(f"the video just written does not decode: {error.message}") from error
    width, height = size
    seconds = float(frames / rate) if timing is None else timing.seconds
    problems = []
    if info.frames != frames:
        problems.append(f"{info.frames} frames instead of {frames}")
    if (info.width, info.height) != (width, height):
        problems.append(f"{info.width}x{info.height} pixels instead of {width}x{height}")
    # Not `info.rate != rate`: in a short clip two close rates give the same time stamps.
    if timing is not None:
        times = timing_of(path).times
        if len(times) == frames and np.abs(times - timing.times).max() > _SAME_SECONDS:
            problems.append("frames at other times than theirs")
    elif abs(info.seconds - seconds) > _SAME_SECONDS:
        problems.append(f"{info.seconds:.3f} s at {info.rate} frames/s instead of {seconds:.3f} s at {rate}")
    if info.audio != audio:
        problems.append("no sound" if audio else "sound that was not asked for")
    elif audio and abs(info.audio_seconds - seconds) > max(float(1 / rate), SOUND_SECONDS):
        problems.append(f"{info.audio_seconds:.3f} s of sound for {seconds:.3f} s of picture")
    if problems:
        raise FfmpegError(f"{path.name} was written wrongly: {', '.join(problems)}; encode it again")
    return info


def _graph(clip: ScannedClip, first: int, last: int) -> Any:
    """From the file to the pixels of frames `first` to `last` - 1, or of all where there are no times to cut by."""
    frames = source(clip.path, CLIP_FORMATS)[str(clip.stream)]
    if clip.ordered:
        # By time stamp, for the filter forgets how many frames it saw when their format changes midway.
        end = {} if last == clip.info.frames else {"end_pts": int(clip.ticks[last])}
        frames = frames.filter("trim", start_pts=int(clip.ticks[first]), **end)
    matrix = "auto"
    if clip.primaries:
        frames = _standard(frames, clip)
    else:
        matrix = clip.matrix
        # What a damaged frame says of itself may be more than swscale knows to convert.
        frames = frames.filter("setparams", color_primaries="bt709", color_trc="bt709")
    # The size is given, not left to ffmpeg: a stream may change it midway, and the pipe has no headers.
    frames = frames.filter(
        "scale", clip.info.width, clip.info.height, flags=SCALING, in_color_matrix=matrix, out_range="pc"
    )
    pixels = "rgba" if clip.alpha else "rgb24"
    return ffmpeg.output(frames, "pipe:1", format="rawvideo", pix_fmt=pixels, **every_frame(clip.tick))


def _standard(frames: Any, clip: ScannedClip) -> Any:
    """A wide gamut, and perhaps a high dynamic range, brought to BT.709 in linear light."""
    tags = {"primariesin": clip.primaries, "matrixin": clip.matrix}
    if clip.transfer:
        tags["transferin"] = clip.transfer
    frames = frames.filter("zscale", transfer="linear", npl=_REFERENCE_WHITE, **tags).filter("format", "gbrpf32le")
    frames = frames.filter("zscale", primaries="bt709")
    if clip.transfer:
        frames = frames.filter("tonemap", tonemap="mobius", param=_KNEE, desat=0)
    frames = frames.filter("zscale", transfer="bt709", range="pc")
    return frames.filter("format", "gbrp16le")

"""Probe clips and decode their frames."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]
import numpy as np

from tasks.media.ffmpeg_process import DECODER_BYTES, SCALING, FfmpegProcess
from tasks.media.input_formats import CLIP_FORMATS, ffmpeg_input
from tasks.media.pictures.colour import profile_to_srgb
from tasks.media.scan import ScannedClip, passthrough_options, scan_clip
from tasks.media.timing import Timing
from troupe.clip_info import ClipInfo
from troupe.errors import FfmpegError, InputError, UnreadableMedia
from troupe.faces import Picture

__all__ = ["AUDIO_TOLERANCE", "decode", "probe", "timing_of", "verify"]

_TIME_TOLERANCE = 0.002
"""Seconds by which times in a written video may differ from the intended ones."""
AUDIO_TOLERANCE = 0.03
"""Seconds by which copied audio may differ in length: it ends with a whole packet of 1024 or 1152 samples."""
_REFERENCE_WHITE = 203
"""Luminance of white in HDR, in candelas per square metre (ITU-R BT.2408); mapped to white in SDR."""
_KNEE = 0.7
"""Fraction of SDR white, in linear light, up to which tones are kept; brighter ones are compressed above it."""


def probe(path: Path) -> ClipInfo:
    """Return the properties of a clip as `decode` yields it: upright, with square pixels, every frame counted.

    The clip is decoded once with ffmpeg and the same options as in `decode`: headers can be wrong, packets are not
    frames, and another decoder might disagree. The result is cached until the file changes.

    Raises:
        MissingInput: the file does not exist.
        UnreadableMedia: no video in it can be decoded.
        TooLarge: it exceeds a limit on pixels, frames or seconds.
    """
    return scan_clip(path).info


def timing_of(
    path: Path, start: float = 0.0, end: float | None = None, fps: Fraction | None = None, video_track: str = ""
) -> Timing:
    """Return the presentation times, from 0, of the frames that `decode` yields for the same arguments.

    Raises:
        InputError: as `decode`.
    """
    clip = scan_clip(path, fps, video_track)
    part = clip.timing.part(*clip.frame_range(start, end))
    return part if fps is None else part.resampled(fps)[0]


def decode(
    path: Path, start: float = 0.0, end: float | None = None, fps: Fraction | None = None, video_track: str = ""
) -> Generator[Picture, None, None]:
    """Yield the frames with `start` <= time < `end`.

    ffmpeg decodes ahead only as far as a pipe holds; closing the generator ends it at once. High dynamic range and
    wide gamuts are converted to BT.709, transparency is composited on white.

    Args:
        path: the clip, a file or a folder of images.
        start, end: seconds since the clip's first frame; `end` None is the clip's end.
        fps: frames per second to resample to, by dropping and repeating frames; None keeps the clip's frames. A
            folder of images has no times: all its frames are yielded, and `start` and `end` count at this rate.
        video_track: choice of the video stream, `index:N` or `language:TAG`; empty for the default.

    Raises:
        MissingInput, UnreadableMedia, TooLarge: as `probe`; also if fewer frames decode than were counted.
        InputError: there is no frame between `start` and `end`.
    """
    clip = scan_clip(path, fps, video_track)
    first, last = clip.frame_range(start, end)
    repeats = np.ones(last - first, dtype=np.int64)
    if fps is not None:
        shown = clip.timing.part(first, last).resampled(fps)[1]
        repeats = np.bincount(shown, minlength=last - first)
    with FfmpegProcess(_graph(clip, first, last), memory=DECODER_BYTES) as process:
        for number in range(first if clip.is_ordered else 0, last):
            frame = _read(process, clip, number)
            for repeat in range(int(repeats[number - first]) if number >= first else 0):
                yield frame.copy() if repeat else frame


def _read(process: FfmpegProcess, clip: ScannedClip, number: int) -> Picture:
    """Read the next frame, number `number` of the clip."""
    frame = np.empty((clip.info.height, clip.info.width, 4 if clip.alpha else 3), np.uint8)
    try:
        complete = process.read_into(frame.reshape(-1).data)
    except FfmpegError as error:
        raise UnreadableMedia(f"{clip.path.name}, frame {number}: {error.message}") from error
    if not complete:
        raise UnreadableMedia(
            f"{clip.path.name} stopped decoding at frame {number} of {clip.info.frames}: {process.errors}"
        )
    frame = _on_white(frame) if clip.alpha else frame
    # Pictures that are joined in one file share the profile of the first.
    profile = clip.profiles[min(number, len(clip.profiles) - 1)] if clip.profiles else b""
    return profile_to_srgb(frame, profile) if profile else frame


def _on_white(frame: Picture) -> Picture:
    """Composite (H, W, 4) with alpha on white, as for portraits; return (H, W, 3)."""
    alpha = frame[..., 3:].astype(np.uint16)
    mixed = frame[..., :3] * alpha + 255 * (255 - alpha) + 127
    return (mixed // 255).astype(np.uint8)


def verify(
    path: Path, *, frames: int, rate: Fraction, size: tuple[int, int], audio: bool, timing: Timing | None = None
) -> ClipInfo:
    """Probe a video that was just written, and compare it with what was intended.

    Args:
        path: the video.
        frames: expected number of frames.
        rate: expected frames per second.
        size: expected (width, height) of the frames.
        audio: whether it must have sound, which must end with the picture, within a frame or `AUDIO_TOLERANCE`.
        timing: expected times of unevenly spaced frames. The duration of the last one is not checked, since not every
            container stores it.

    Raises:
        FfmpegError: the video differs; the message lists all differences.
    """
    try:
        info = probe(path)
    except InputError as error:
        raise FfmpegError(
            f"verifying {path.name} after encoding failed: it does not decode: {error.message}"
        ) from error
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
        if len(times) == frames and np.abs(times - timing.times).max() > _TIME_TOLERANCE:
            problems.append("frames at wrong times")
    elif abs(info.seconds - seconds) > _TIME_TOLERANCE:
        problems.append(f"{info.seconds:.3f} s at {info.rate} frames/s instead of {seconds:.3f} s at {rate}")
    if info.audio != audio:
        problems.append("no sound" if audio else "unexpected sound")
    elif audio and abs(info.audio_seconds - seconds) > max(float(1 / rate), AUDIO_TOLERANCE):
        problems.append(f"{info.audio_seconds:.3f} s of sound for {seconds:.3f} s of picture")
    if problems:
        raise FfmpegError(f"verifying {path.name} after encoding failed: {', '.join(problems)}; encode it again")
    return info


def _graph(clip: ScannedClip, first: int, last: int) -> Any:
    """Build the ffmpeg graph of frames `first` to `last` - 1, or of all if time stamps cannot select them."""
    frames = ffmpeg_input(clip.path, CLIP_FORMATS)[str(clip.stream)]
    if clip.is_ordered:
        # By time stamp, because the filter loses its frame count when the format changes midway.
        end = {} if last == clip.info.frames else {"end_pts": int(clip.ticks[last])}
        frames = frames.filter("trim", start_pts=int(clip.ticks[first]), **end)
    if clip.interlaced:
        frames = frames.filter("bwdif", mode="send_frame", deint="interlaced")
    matrix = "auto"
    if clip.primaries:
        frames = _to_bt709(frames, clip)
    else:
        matrix = clip.matrix
        # The tags of a damaged frame may name something that swscale cannot convert.
        frames = frames.filter("setparams", color_primaries="bt709", color_trc="bt709")
    # Set the size explicitly: a stream may change it midway, and raw video has no headers.
    frames = frames.filter(
        "scale", clip.info.width, clip.info.height, flags=SCALING, in_color_matrix=matrix, out_range="pc"
    )
    pixels = "rgba" if clip.alpha else "rgb24"
    return ffmpeg.output(frames, "pipe:1", format="rawvideo", pix_fmt=pixels, **passthrough_options(clip.tick))


def _to_bt709(frames: Any, clip: ScannedClip) -> Any:
    """Convert a wide gamut, and high dynamic range if present, to BT.709 in linear light."""
    tags = {"primariesin": clip.primaries, "matrixin": clip.matrix}
    if clip.transfer:
        tags["transferin"] = clip.transfer
    frames = frames.filter("zscale", transfer="linear", npl=_REFERENCE_WHITE, **tags).filter("format", "gbrpf32le")
    frames = frames.filter("zscale", primaries="bt709")
    if clip.transfer:
        frames = frames.filter("tonemap", tonemap="mobius", param=_KNEE, desat=0)
    frames = frames.filter("zscale", transfer="bt709", range="pc")
    return frames.filter("format", "gbrp16le")

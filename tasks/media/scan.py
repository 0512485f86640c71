"""Scan a clip: decode it once to find its real size, frames and times, which headers only claim."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.stream
import av.video.stream
import ffmpeg  # type: ignore[import-untyped]
import numpy as np

from tasks.media.ffmpeg_process import DECODER_BYTES, THREADS, FfmpegProcess
from tasks.media.input_formats import (
    CLIP_FORMATS,
    audio_stream,
    ffmpeg_input,
    is_interlaced,
    open_container,
    video_stream,
)
from tasks.media.limits import limits
from tasks.media.pictures import image_folder
from tasks.media.timing import Ticks, Timing, even_timing, timing_of_ticks
from troupe.clip_info import ClipInfo
from troupe.errors import FfmpegError, InputError, MissingInput, TooLarge, UnreadableMedia

__all__ = [
    "ScannedClip",
    "passthrough_options",
    "scan_clip",
]

_HD = (1280, 576)
"""Width from which, or height above which, untagged colours are BT.709, else BT.601, as in players."""
_UNTAGGED = 2
"""Number of unspecified colours in ITU-T H.273."""
_PRIMARIES = {9: "bt2020", 11: "smpte431", 12: "smpte432"}
"""ffmpeg's names of wide gamuts by their numbers in ITU-T H.273; they are converted to BT.709."""
_MATRICES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc", 10: "bt2020c"}
"""ffmpeg's names of YUV matrices, by number; other numbers in wide-gamut clips are mistakes."""
_HDR = {16: "smpte2084", 18: "arib-std-b67"}
"""ffmpeg's names of the transfer functions for high dynamic range, PQ and HLG, by number."""
_NO_TIME = -(2**63)


@dataclass(frozen=True, eq=False)
class ScannedClip:
    """A clip with the properties found by decoding it.

    Attributes:
        path: the file.
        info: properties that `probe` returns.
        timing: presentation times of its frames.
        stream: index of the video stream in the container.
        ticks: (F,) time stamps of the frames, on the container's clock.
        tick: seconds per tick.
        matrix: ffmpeg's name of the YUV matrix; `auto` uses the frames' own tags, never in a wide gamut.
        primaries, transfer: ffmpeg's names of a wide gamut and of a high dynamic range; empty for BT.709.
        alpha: whether frames may be transparent.
        interlaced: whether frames are made of two fields, which are deinterlaced.
        profiles: ICC profile of each picture of a sequence that is to be converted to sRGB; empty if none is.
        has_times: whether the file stores times of the frames; sequences of images do not.
    """

    path: Path
    info: ClipInfo
    timing: Timing
    stream: int
    ticks: Ticks
    tick: Fraction
    matrix: str
    primaries: str
    transfer: str
    alpha: bool
    interlaced: bool = False
    profiles: tuple[bytes, ...] = ()
    has_times: bool = True

    def frame_range(self, start: float, end: float | None) -> tuple[int, int]:
        """Return (first, last + 1) of the frames with `start` <= time < `end`, in seconds since the first frame.

        Raises:
            InputError: there are no such frames.
        """
        first, last = self.timing.between(start, end)
        if first == last or not start >= 0:
            until = "its end" if end is None else f"{end:g} s"
            raise InputError(
                f"{self.path.name} has no frame from {start:g} s until {until}: it lasts {self.info.seconds:.3f} s; "
                f"change start and end"
            )
        return first, last

    @property
    def is_ordered(self) -> bool:
        """Whether the time stamps increase from frame to frame; otherwise they are unusable."""
        return bool((np.diff(self.ticks) > 0).all())

    def container_time(self, frame: int) -> float:
        """Return a frame's time in seconds on the container's clock, which the sound shares."""
        return float(int(self.ticks[0]) * self.tick) + float(self.timing.times[frame])


def scan_clip(path: Path, fps: Fraction | None = None, video_track: str = "") -> ScannedClip:
    """Decode a clip once to find its size, frames and times; cached until the file changes.

    Args:
        path: a file, or a folder of images.
        fps: frames per second of a clip without times.
        video_track: choice of the video stream; see `tasks.media.input_formats`.

    Raises:
        MissingInput: the file does not exist.
        InputError: there is no such stream.
        UnreadableMedia: no video in it can be decoded.
        TooLarge: it exceeds one of the `limits`.
    """
    try:
        stat = path.stat()
    except OSError:
        raise MissingInput(f"{path} does not exist or cannot be read") from None
    clip = _scan(path.absolute(), stat.st_size, stat.st_mtime_ns, stat.st_ino, video_track)
    if fps is None or clip.has_times:
        return clip
    timing = even_timing(clip.info.frames, fps)
    return replace(clip, timing=timing, info=replace(clip.info, rate=fps, seconds=timing.seconds))


def passthrough_options(tick: Fraction) -> dict[str, str]:
    """Return ffmpeg options that output each decoded frame once, with its time stamp in ticks of `tick` seconds."""
    base = f"{tick.numerator}:{tick.denominator}"
    # Flush packets, because ffmpeg looks stuck while frames wait in a buffer.
    return {"fps_mode": "passthrough", "enc_time_base": base, "flush_packets": "1"}


@functools.lru_cache(maxsize=32)
def _scan(path: Path, size: int, _modified: int, _inode: int, video_track: str) -> ScannedClip:
    with open_container(path, CLIP_FORMATS, max_pixels=str(limits().clip_pixels)) as container:
        stream = video_stream(container, video_track)
        if stream is None:
            raise UnreadableMedia(f"{path.name} has no video that can be decoded")
        _check_claims(container, stream, path)
        index, codec, hint = stream.index, stream.codec.canonical_name, stream.average_rate
        tick, matrix = stream.time_base or Fraction(1, av.time_base), _matrix(stream)
        context = stream.codec_context
        transfer = _HDR.get(int(context.color_trc or 0), "")
        primaries = _PRIMARIES.get(int(context.color_primaries or 0), "bt2020" if transfer else "")
        if primaries:
            default = "bt2020nc" if primaries == "bt2020" else "bt709"
            is_rgb = context.format is not None and context.format.is_rgb
            matrix = "gbr" if is_rgb else _MATRICES.get(int(context.colorspace or 0), default)
        alpha = context.format is not None and any(part.is_alpha for part in context.format.components)
        has_times = container.format.name != "image2" and not container.format.name.endswith("_pipe")
        interlaced = is_interlaced(container, stream)
        audio = audio_stream(container)
        audio_seconds = _audio_seconds(container, audio)
    headers, ticks, last_duration = _decode_headers(path, index, tick)
    width, height = _display_size(headers, path)
    timing = timing_of_ticks(ticks, last_duration, tick, hint)
    if timing.seconds > limits().clip_seconds:
        raise _too_long(path, timing.seconds)
    if len(ticks) * width * height * 3 > limits().clip_bytes:
        raise TooLarge(
            f"{path.name} has {len(ticks) * width * height * 3} bytes when decoded; "
            f"{limits().advice('clip_bytes', 'cut it into parts or scale it down')}"
        )
    info = ClipInfo(
        width=width,
        height=height,
        frames=len(ticks),
        rate=timing.rate,
        seconds=timing.seconds,
        audio=audio is not None,
        audio_seconds=audio_seconds,
        codec=codec,
        size=size,
    )
    return ScannedClip(
        path,
        info,
        timing,
        index,
        ticks,
        tick,
        matrix,
        primaries,
        transfer,
        alpha,
        interlaced,
        profiles=() if has_times or primaries else image_folder.profiles(path),
        has_times=has_times,
    )


def _check_claims(container: av.container.InputContainer, stream: av.video.stream.VideoStream, path: Path) -> None:
    """Raise TooLarge if the headers alone exceed a limit."""
    if stream.width * stream.height > limits().clip_pixels:
        raise _too_many_pixels(path, stream.width, stream.height)
    if stream.frames > limits().clip_frames:
        raise _too_many_frames(path, f"claims {stream.frames}")
    seconds = (container.duration or 0) / av.time_base
    if seconds > limits().clip_seconds:
        raise _too_long(path, seconds)


def _too_many_pixels(path: Path, width: int, height: int) -> TooLarge:
    advice = limits().advice("clip_pixels", "scale it down")
    return TooLarge(f"{path.name} has {width}x{height} pixels per frame; {advice}")


def _too_many_frames(path: Path, number: str) -> TooLarge:
    return TooLarge(f"{path.name} {number} frames; {limits().advice('clip_frames', 'cut it into parts')}")


def _too_long(path: Path, seconds: float) -> TooLarge:
    return TooLarge(f"{path.name} lasts {seconds:.0f} s; {limits().advice('clip_seconds', 'cut it into parts')}")


def _matrix(stream: av.video.stream.VideoStream) -> str:
    """Return the matrix for untagged colours: swscale assumes BT.601 at any size, players BT.709 for large pictures."""
    context = stream.codec_context
    is_yuv = context.format is not None and not context.format.is_rgb
    is_large = stream.width >= _HD[0] or stream.height > _HD[1]
    return "bt709" if context.colorspace == _UNTAGGED and is_yuv and is_large else "auto"


def _audio_seconds(container: av.container.InputContainer, audio: av.stream.Stream | None) -> float:
    if audio is None:
        return 0.0
    if audio.duration is not None and audio.time_base is not None:
        return float(audio.duration * audio.time_base)
    return (container.duration or 0) / av.time_base


def _decode_headers(path: Path, stream: int, tick: Fraction) -> tuple[dict[str, str], Ticks, int]:
    """Decode a clip and keep only its frames' headers.

    Returns:
        headers of ffmpeg's framecrc format, (F,) time stamps, the last frame's duration in ticks.
    """
    # wrapped_avframe passes the frame itself, without a copy of its pixels.
    output = ffmpeg.output(
        ffmpeg_input(path, CLIP_FORMATS, max_pixels=limits().clip_pixels)[str(stream)],
        "pipe:1",
        format="framecrc",
        vcodec="wrapped_avframe",
        **passthrough_options(tick),
    )
    headers: dict[str, str] = {}
    ticks: list[int] = []
    duration, maximum = 0, limits()
    deadline = time.monotonic() + maximum.scan_seconds
    seconds = THREADS * maximum.scan_seconds
    with FfmpegProcess(output, processor_seconds=seconds, memory=DECODER_BYTES) as process:
        try:
            for line in process.lines():
                if line.startswith("#"):
                    name, _, value = line[1:].partition(": ")
                    headers[name.split(" ")[0]] = value
                    continue
                _, _, stamp, duration, *_ = (int(field, 0) for field in line.split(","))
                ticks.append(stamp)
                if len(ticks) > maximum.clip_frames:
                    raise _too_many_frames(path, "has too many")
                if time.monotonic() > deadline:
                    advice = maximum.advice("scan_seconds", "cut it into parts or scale it down")
                    raise TooLarge(f"decoding {path.name} takes too many seconds; {advice}")
            code = process.finish()
        except FfmpegError as error:
            raise UnreadableMedia(f"{path.name} does not decode: {error.message}") from error
        # Damage towards the end gives an exit code above 0 and some frames: these are the clip.
        if code < 0 or not ticks:
            reason = f"signal {-code} ended ffmpeg" if code < 0 else process.errors or "it has no frames"
            raise UnreadableMedia(f"{path.name} does not decode: {reason}")
    if _NO_TIME in ticks:
        ticks = [0] * len(ticks)
    return headers, np.array(ticks, np.int64), duration


def _display_size(headers: dict[str, str], path: Path) -> tuple[int, int]:
    """Return (width, height) with square pixels: one side is stretched and none is shrunk, to keep all detail."""
    width, height = (int(side) for side in headers["dimensions"].split("x"))
    numerator, denominator = (int(part) for part in headers["sar"].split("/"))
    aspect = Fraction(numerator, denominator) if numerator > 0 and denominator > 0 else Fraction(1)
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    if width * height > limits().clip_pixels:
        raise _too_many_pixels(path, width, height)
    return width, height

"""A clip decoded once, so that it is known what the headers only claim."""

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

from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.input_formats import CLIP_FORMATS, open_container, source
from tasks.media.limits import limits
from tasks.media.timing import Ticks, Timing, evenly, timing
from troupe.clip_info import ClipInfo
from troupe.errors import FfmpegError, InputError, MissingInput, TooLarge, UnreadableMedia

__all__ = [
    "ScannedClip",
    "audio_stream",
    "every_frame",
    "scan_clip",
    "video_stream",
]

_HD = (1280, 576)
"""From this width, or above this height, colours without a tag are BT.709, else BT.601, as players take them."""
_UNTAGGED = 2
_PRIMARIES = {9: "bt2020", 11: "smpte431", 12: "smpte432"}
"""ffmpeg's names of the wide gamuts, by their numbers in ITU-T H.273: what is in them is brought to BT.709's."""
_MATRICES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc", 10: "bt2020c"}
"""The same of YUV matrices; other numbers in such clips are mistakes."""
_HDR = {16: "smpte2084", 18: "arib-std-b67"}
"""The same of transfer functions for high dynamic range: PQ and HLG."""
_NO_TIME = -(2**63)


@dataclass(frozen=True, eq=False)
class ScannedClip:
    """What decoding a clip has shown.

    Attributes:
        path: the file.
        info: what `probe` tells.
        timing: when its frames are shown.
        stream: the picture's index in the container.
        ticks: (F,) the frames' time stamps, on the container's clock.
        tick: seconds.
        matrix: ffmpeg's name of the YUV matrix; `auto` where the frames themselves say, never in a wide gamut.
        primaries, transfer: ffmpeg's names of a wide gamut and a high dynamic range; empty for what is as BT.709.
        alpha: whether frames may be transparent.
        timed: whether the frames have times of their own; pictures one after another have not.
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
    timed: bool = True

    def cut(self, start: float, end: float | None) -> tuple[int, int]:
        """(first, last + 1) of the frames shown from `start` until before `end`, seconds since the first frame.

        Raises:
            InputError: there are none.
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
    def ordered(self) -> bool:
        """Whether every frame's time stamp is later than the one before; else they are good for nothing."""
        return bool((np.diff(self.ticks) > 0).all())

    def clock(self, frame: int) -> float:
        """When a frame is shown, seconds on the container's clock, which the sound shares."""
        return float(int(self.ticks[0]) * self.tick) + float(self.timing.times[frame])


def scan_clip(path: Path, fps: Fraction | None = None) -> ScannedClip:
    """Decode a clip once for its size, frames and times, or remember it: a clip is asked about several times.

    Args:
        path: a file, or a folder of pictures.
        fps: frames a second of what has no times of its own.

    Raises:
        MissingInput: there is no such file.
        UnreadableMedia: it holds no picture that can be decoded.
        TooLarge: more pixels, frames or seconds than `limits` allow.
    """
    try:
        stat = path.stat()
    except OSError:
        raise MissingInput(f"{path} is not a file") from None
    clip = _scan(path.absolute(), stat.st_size, stat.st_mtime_ns, stat.st_ino)
    if fps is None or clip.timed:
        return clip
    shown = evenly(clip.info.frames, fps)
    return replace(clip, timing=shown, info=replace(clip.info, rate=fps, seconds=shown.seconds))


def every_frame(tick: Fraction) -> dict[str, str]:
    """Output options: each decoded frame once, with the time stamp that it has, in ticks of so many seconds."""
    base = f"{tick.numerator}:{tick.denominator}"
    # Flushed, because frames held back in a buffer look as if ffmpeg were stuck.
    return {"fps_mode": "passthrough", "enc_time_base": base, "flush_packets": "1"}


def video_stream(container: av.container.InputContainer) -> av.video.stream.VideoStream | None:
    """The first that is no cover picture and that there is a decoder for."""
    cover = av.stream.Disposition.attached_pic
    streams = (stream for stream in container.streams.video if not stream.disposition & cover)
    return next((stream for stream in streams if stream.codec_context is not None), None)


def audio_stream(container: av.container.InputContainer) -> av.stream.Stream | None:
    """The first that there is a decoder for."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


@functools.lru_cache(maxsize=32)
def _scan(path: Path, size: int, _modified: int, _inode: int) -> ScannedClip:
    with open_container(path, CLIP_FORMATS, max_pixels=str(limits().clip_pixels)) as container:
        stream = video_stream(container)
        if stream is None:
            raise UnreadableMedia(f"{path.name} holds no video that can be decoded")
        _check_claims(container, stream, path)
        index, codec, hint = stream.index, stream.codec.canonical_name, stream.average_rate
        tick, matrix = stream.time_base or Fraction(1, av.time_base), _matrix(stream)
        context = stream.codec_context
        transfer = _HDR.get(int(context.color_trc or 0), "")
        primaries = _PRIMARIES.get(int(context.color_primaries or 0), "bt2020" if transfer else "")
        if primaries:
            usual = "bt2020nc" if primaries == "bt2020" else "bt709"
            is_rgb = context.format is not None and context.format.is_rgb
            matrix = "gbr" if is_rgb else _MATRICES.get(int(context.colorspace or 0), usual)
        alpha = context.format is not None and any(part.is_alpha for part in context.format.components)
        timed = container.format.name != "image2" and not container.format.name.endswith("_pipe")
        sound = audio_stream(container)
        sound_seconds = _sound_seconds(container, sound)
    headers, ticks, last_duration = _count(path, index, tick)
    width, height = _square(headers, path)
    shown = timing(ticks, last_duration, tick, hint)
    if shown.seconds > limits().clip_seconds:
        raise _too_long(path, shown.seconds)
    if len(ticks) * width * height * 3 > limits().clip_bytes:
        raise TooLarge(
            f"{path.name} has {len(ticks) * width * height * 3} bytes when decoded; "
            f"{limits().advice('clip_bytes', 'cut it into parts or scale it down')}"
        )
    info = ClipInfo(
        width=width,
        height=height,
        frames=len(ticks),
        rate=shown.rate,
        seconds=shown.seconds,
        audio=sound is not None,
        audio_seconds=sound_seconds,
        codec=codec,
        size=size,
    )
    return ScannedClip(path, info, shown, index, ticks, tick, matrix, primaries, transfer, alpha, timed)


def _check_claims(container: av.container.InputContainer, stream: av.video.stream.VideoStream, path: Path) -> None:
    """Refuse what is over a limit by its own headers."""
    if stream.width * stream.height > limits().clip_pixels:
        raise _too_wide(path, stream.width, stream.height)
    if stream.frames > limits().clip_frames:
        raise _too_many(path, f"claims {stream.frames}")
    seconds = (container.duration or 0) / av.time_base
    if seconds > limits().clip_seconds:
        raise _too_long(path, seconds)


def _too_wide(path: Path, width: int, height: int) -> TooLarge:
    advice = limits().advice("clip_pixels", "scale it down")
    return TooLarge(f"{path.name} has {width}x{height} pixels a frame; {advice}")


def _too_many(path: Path, number: str) -> TooLarge:
    return TooLarge(f"{path.name} {number} frames; {limits().advice('clip_frames', 'cut it into parts')}")


def _too_long(path: Path, seconds: float) -> TooLarge:
    return TooLarge(f"{path.name} lasts {seconds:.0f} s; {limits().advice('clip_seconds', 'cut it into parts')}")


def _matrix(stream: av.video.stream.VideoStream) -> str:
    """swscale takes untagged colours for BT.601 at any size, players for BT.709 in large pictures."""
    context = stream.codec_context
    is_yuv = context.format is not None and not context.format.is_rgb
    is_large = stream.width >= _HD[0] or stream.height > _HD[1]
    return "bt709" if context.colorspace == _UNTAGGED and is_yuv and is_large else "auto"


def _sound_seconds(container: av.container.InputContainer, sound: av.stream.Stream | None) -> float:
    if sound is None:
        return 0.0
    if sound.duration is not None and sound.time_base is not None:
        return float(sound.duration * sound.time_base)
    return (container.duration or 0) / av.time_base


def _count(path: Path, stream: int, tick: Fraction) -> tuple[dict[str, str], Ticks, int]:
    """Decode a clip and keep only what its frames say of themselves.

    Returns:
        the headers of ffmpeg's framecrc format, (F,) time stamps, the last frame's duration in ticks.
    """
    # wrapped_avframe: the frame itself is handed on, no copy of its pixels.
    output = ffmpeg.output(
        source(path, CLIP_FORMATS, max_pixels=limits().clip_pixels)[str(stream)],
        "pipe:1",
        format="framecrc",
        vcodec="wrapped_avframe",
        **every_frame(tick),
    )
    headers: dict[str, str] = {}
    ticks: list[int] = []
    duration, most = 0, limits()
    deadline = time.monotonic() + most.scan_seconds
    with FfmpegProcess(output) as process:
        try:
            for line in process.lines():
                if line.startswith("#"):
                    name, _, value = line[1:].partition(": ")
                    headers[name.split(" ")[0]] = value
                    continue
                _, _, shown, duration, *_ = (int(field, 0) for field in line.split(","))
                ticks.append(shown)
                if len(ticks) > most.clip_frames:
                    raise _too_many(path, "has more than the allowed")
                if time.monotonic() > deadline:
                    advice = most.advice("scan_seconds", "cut it into parts or scale it down")
                    raise TooLarge(f"{path.name} takes more seconds to decode than allowed; {advice}")
            code = process.finish()
        except FfmpegError as error:
            raise UnreadableMedia(f"{path.name} does not decode: {error.message}") from error
        # A code above 0 with frames is what damage towards the end gives: what came out is the clip.
        if code < 0 or not ticks:
            why = f"signal {-code} ended ffmpeg" if code < 0 else process.complaint or "no frame came out"
            raise UnreadableMedia(f"{path.name} does not decode: {why}")
    if _NO_TIME in ticks:
        ticks = [0] * len(ticks)
    return headers, np.array(ticks, np.int64), duration


def _square(headers: dict[str, str], path: Path) -> tuple[int, int]:
    """(width, height) with square pixels: one side is stretched and none shrunk, so that no detail is lost."""
    width, height = (int(side) for side in headers["dimensions"].split("x"))
    above, below = (int(part) for part in headers["sar"].split("/"))
    aspect = Fraction(above, below) if above > 0 and below > 0 else Fraction(1)
    if aspect > 1:
        width = round(width * aspect)
    else:
        height = round(height / aspect)
    if width * height > limits().clip_pixels:
        raise _too_wide(path, width, height)
    return width, height

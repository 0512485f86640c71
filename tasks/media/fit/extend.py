"""Extend an encoded picture by further frames, without encoding its own frames again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from tasks.media.decoder import verify
from tasks.media.encoder import picture_graph
from tasks.media.ffmpeg_process import FLUSH_SECONDS, FfmpegProcess, expect_success
from tasks.media.fit.frames import PictureFrames, RawFrame
from tasks.media.fit.join import PacketIndex, join_pictures, packet_index
from tasks.media.fit.policy import Fit
from tasks.media.output_formats import VideoFormat
from tasks.media.timing import Ticks, Timing, extended_timing
from troupe.clip_info import ClipInfo
from troupe.errors import FfmpegError

__all__ = ["EXTENSIONS", "Extended", "extend_picture"]

EXTENSIONS = ("hold", "bounce")


@dataclass(frozen=True)
class Extended:
    """An extended picture.

    Attributes:
        info: properties of the file.
        timing: times of all frames where the picture's are uneven; None at a constant rate.
        reencoded: whether the picture's own frames were encoded once more, because today's encoder writes other
            parameters than the picture's, which one stream cannot hold together.
    """

    info: ClipInfo
    timing: Timing | None
    reencoded: bool


def extend_picture(
    picture: Path,
    target: Path,
    fit: Fit,
    *,
    rate: Fraction,
    video_format: VideoFormat,
    timing: Timing | None = None,
) -> Extended:
    """Extend a picture as decided; the file has no sound and no metadata.

    The picture's packets are copied bit by bit. The further frames are encoded with the same settings, starting with a
    keyframe, and their packets follow. They are decoded and encoded in the format's own pixels, with no more than
    `tasks.media.fit.frames.MEMORY_BYTES` of them in memory.

    Args:
        picture: a file of `VideoEncoder`, in `video_format`.
        target: the file to write, in the same format; its folder must exist, an existing file is replaced.
        fit: the decision, with an extension: `hold` (the last frame stays) or `bounce` (the frames run backwards to
            the first one, forwards to the last one, and so on; those at the turns are shown once).
        rate: frames per second, of further frames only where those of the picture are uneven.
        video_format: the format that the picture was encoded with.
        timing: times of the picture's frames if it was encoded with them.

    Raises:
        UnreadableMedia: the picture cannot be opened.
        FfmpegError: it has another number of frames or does not decode, ffmpeg failed, or the file differs from what
            was intended.
        ValueError: the decision has no extension.
    """
    count, frames = fit.motion_frames, fit.frames
    if fit.extension not in EXTENSIONS or frames <= count:
        raise ValueError(f"no extension from {count} to {frames} frames by {fit.extension!r}")
    own = packet_index(picture)
    if len(own.stamps) != count:
        raise FfmpegError(f"{picture.name} has {len(own.stamps)} frames instead of {count}; encode it again")
    if timing is not None and timing.even:
        timing = None
    source = PictureFrames(picture, video_format.pixels)

    def further() -> Iterator[RawFrame]:
        return source.held(frames - count) if fit.extension == "hold" else source.bounced(frames - count)

    def write(name: str, pictures: Iterable[RawFrame], keyframes: int = 1) -> Path:
        path = Path(folder, f"{name}{video_format.suffix}")
        _encode(path, pictures, own.rate or rate, own.size, video_format, timing, keyframes)
        return path

    with tempfile.TemporaryDirectory(prefix=".extending-", dir=target.parent) as folder:
        skipped = _skipped(own, video_format)
        extension = write("extension", chain(source.held(skipped), further()), 1 + skipped)
        parts, reencoded = [picture, extension], packet_index(extension).parameters != own.parameters
        if reencoded:
            parts, skipped = [write("whole", chain(source.forwards(0, count), further()))], 0
        joined = extension.with_stem("joined")
        stamps = _stamps(own, frames, rate, timing)
        join_pictures(joined, parts, skipped=skipped, stamps=stamps, tick=own.tick, container=video_format.container)
        if timing is not None:
            timing = extended_timing(timing, frames, rate)
        info = verify(joined, frames=frames, rate=rate, size=own.size, audio=False, timing=timing)
        joined.replace(target)
    return Extended(info, timing, reencoded)


def _skipped(own: PacketIndex, video_format: VideoFormat) -> int:
    """Return how many keyframes to encode and leave out before the extension.

    x264 numbers its keyframes 0, 1, 0, ..., and H.264 wants two keyframes in a row to have different numbers.
    """
    return int(video_format.video_options["vcodec"] == "libx264" and own.keys[-1] and own.keys.sum() % 2)


def _encode(
    path: Path,
    frames: Iterable[RawFrame],
    rate: Fraction,
    size: tuple[int, int],
    video_format: VideoFormat,
    timing: Timing | None,
    keyframes: int,
) -> None:
    """Encode raw frames with the settings of `VideoEncoder`, the first ones as keyframes."""
    options: dict[str, int | str] = {} if timing is None else {"bf": 0}
    if keyframes > 1:
        options["force_key_frames"] = f"expr:lt(n,{keyframes})"
    graph = picture_graph(path, rate, size, video_format, options, video_format.pixels)
    with FfmpegProcess(graph, feed=True) as process:
        for frame in frames:
            process.write(frame.data)
        expect_success(process, "extending the picture", FLUSH_SECONDS)


def _stamps(own: PacketIndex, frames: int, rate: Fraction, timing: Timing | None) -> Ticks:
    """Return the times of all frames and the end of the last one, in ticks; those of the picture are kept."""
    first, count = int(own.stamps.min()), len(own.stamps)
    end = count / rate if timing is None else Fraction(timing.seconds)
    more = [first + round((end + number / rate) / own.tick) for number in range(frames - count + 1)]
    return np.array([*np.sort(own.stamps), *more], np.int64)

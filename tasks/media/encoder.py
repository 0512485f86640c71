"""Encode frames, with the sound of another file, to a video file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ffmpeg  # type: ignore[import-untyped]
import numpy as np

from tasks.media.audio import AudioSource, find_audio
from tasks.media.decoder import verify
from tasks.media.ffmpeg_process import FLUSH_SECONDS, SCALING, FfmpegProcess, expect_success
from tasks.media.mux import fit_audio, mux, retime
from tasks.media.output_formats import VideoFormat, h264
from tasks.media.provenance import VideoMetadata
from tasks.media.subtitles import Subtitles, at_frames, burn
from tasks.media.timing import Timing
from troupe.clip_info import ClipInfo
from troupe.errors import FfmpegError
from troupe.faces import Picture

__all__ = ["VideoEncoder", "encode", "picture_graph"]

_BT709 = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}


class VideoEncoder:
    """Encoder of one video, frame by frame; by default H.264, 4:2:0, BT.709, with sound as long as the picture.

    Use it as a context manager. The file appears, complete and verified, on exit or when `finish` is called; an
    exception ends ffmpeg and leaves no file. Where the format needs even sides, the last column or row is repeated.
    The same frames give the same bytes with the same ffmpeg.

    The picture is encoded first and the sound is muxed at the end, when the exact length of the picture is known. The
    audio stream is copied if the format supports its codec and no part of it is cut or missing, else re-encoded.

    Args:
        path: the file to write, with the format's suffix; its folder must exist, an existing file is replaced.
        rate: frames per second.
        size: (width, height) of the frames.
        audio: source of the sound; None, or a file without sound, gives a video without an audio stream.
        metadata: metadata of the file.
        timing: presentation times of unevenly spaced frames; `rate` is then their mean.
        video_format: format of the file; H.264 in MP4 if None.
        subtitles: text that is drawn into the frames, which can be drawn: see `burn_problem`.

    Attributes:
        notes: what was converted to write the file, for the user.

    Raises:
        InputError: the audio file cannot be used.
        FfmpegError: ffmpeg failed.

    Example:
        >>> with VideoEncoder(path, rate=Fraction(25), size=(512, 512), audio=AudioSource(clip)) as encoder:
        ...     for frame in frames:
        ...         encoder.write(frame)
        ...     info = encoder.finish()
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        size: tuple[int, int],
        audio: AudioSource | None = None,
        metadata: VideoMetadata | None = None,
        timing: Timing | None = None,
        video_format: VideoFormat | None = None,
        subtitles: Subtitles | None = None,
    ) -> None:
        self._path, self._rate, self._size = path, rate, size
        self._metadata = metadata or VideoMetadata()
        self._timing = timing if timing is not None and not timing.even else None
        self._format = video_format or h264(size=size)
        self._subtitles = None if subtitles is None else at_frames(subtitles, rate, timing)
        self.notes: list[str] = []
        # Found and tried now, so that unusable sound is reported before hours of rendering.
        self._audio = None if audio is None else find_audio(audio)
        if self._audio is not None:
            self._audio, self.notes = fit_audio(self._audio, self._format)
        self._frames = 0
        self._info: ClipInfo | None = None

    def __enter__(self) -> Self:
        # In the target's folder, so that the last step is a rename; not readable by other users.
        self._folder = tempfile.TemporaryDirectory(prefix=".encoding-", dir=self._path.parent)
        self._picture = Path(self._folder.name, f"picture{self._format.suffix}")
        try:
            # Without B-frames, so that the order in the file is the order of presentation, which retiming needs.
            no_reordering: dict[str, int | str] = {} if self._timing is None else {"bf": 0}
            graph = picture_graph(
                self._picture, self._rate, self._padded, self._format, no_reordering, subtitles=self._subtitles
            )
            self._process = FfmpegProcess(graph, feed=True)
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.finish()
        finally:
            self._process.kill()
            self._folder.cleanup()

    @property
    def _padded(self) -> tuple[int, int]:
        """(width, height) of the encoded frames."""
        width, height = self._size
        return (width + width % 2, height + height % 2) if self._format.subsampled else self._size

    def write(self, frame: Picture) -> None:
        """Encode a frame, (height, width, 3) uint8.

        Raises:
            FfmpegError: ffmpeg ended, or stalled.
        """
        if self._info is not None:
            raise ValueError(f"{self._path.name} is finished and takes no more frames")
        width, height = self._size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(
                f"frames of {self._path.name} must be ({height}, {width}, 3) uint8, got {frame.shape} {frame.dtype}"
            )
        padded_width, padded_height = self._padded
        if (padded_width, padded_height) != (width, height):
            frame = np.pad(frame, ((0, padded_height - height), (0, padded_width - width), (0, 0)), mode="edge")
        self._process.write(np.ascontiguousarray(frame).reshape(-1).data)
        self._frames += 1

    def finish(self) -> ClipInfo:
        """Complete the file and return its properties; later calls return the same.

        Raises:
            FfmpegError: ffmpeg failed, no frame was written, or the file differs from what was intended.
        """
        if self._info is not None:
            return self._info
        expect_success(self._process, "encoding the picture", FLUSH_SECONDS)
        if self._frames == 0:
            raise FfmpegError(f"no frame was written to {self._path.name}")
        picture, seconds = self._picture, float(self._frames / self._rate)
        if self._timing is not None:
            if len(self._timing.times) != self._frames:
                raise ValueError(f"{self._frames} frames were written, but timing has {len(self._timing.times)}")
            picture, seconds = picture.with_stem("retimed"), self._timing.seconds
            retime(self._picture, picture, self._timing)
        muxed = self._picture.with_stem("muxed")
        mux(muxed, picture, self._audio, seconds, self._metadata, self._format)
        muxed.replace(self._path)
        try:
            self._info = verify(
                self._path,
                frames=self._frames,
                rate=self._rate,
                size=self._padded,
                audio=self._audio is not None,
                timing=self._timing,
            )
        except BaseException:
            self._path.unlink()
            raise
        return self._info


def encode(
    frames: Iterable[Picture],
    path: Path,
    *,
    rate: Fraction,
    size: tuple[int, int],
    audio: AudioSource | None = None,
    metadata: VideoMetadata | None = None,
    timing: Timing | None = None,
    video_format: VideoFormat | None = None,
    subtitles: Subtitles | None = None,
) -> ClipInfo:
    """Encode all of `frames` to one video; arguments and errors are those of `VideoEncoder`."""
    with VideoEncoder(
        path,
        rate=rate,
        size=size,
        audio=audio,
        metadata=metadata,
        timing=timing,
        video_format=video_format,
        subtitles=subtitles,
    ) as encoder:
        for frame in frames:
            encoder.write(frame)
        return encoder.finish()


def picture_graph(
    target: Path,
    rate: Fraction,
    size: tuple[int, int],
    video_format: VideoFormat,
    options: Mapping[str, int | str],
    pixels: str = "rgb24",
    subtitles: Subtitles | None = None,
) -> Any:
    """Build the ffmpeg graph that encodes raw frames from standard input.

    Args:
        target: the file to write.
        rate: frames per second.
        size: (width, height) of the frames, as the format takes them.
        video_format: format of the file.
        options: further options of the encoder.
        pixels: ffmpeg's name of the frames' pixel format: RGB, or that of the video format.
        subtitles: text to draw into the frames.
    """
    width, height = size
    frames = ffmpeg.input(
        "pipe:0",
        protocol_whitelist="pipe",
        format="rawvideo",
        pix_fmt=pixels,
        s=f"{width}x{height}",
        framerate=str(rate),
    )
    if subtitles is not None:
        frames = burn(frames, subtitles, target.with_suffix(".srt"))
    tags: dict[str, str] = {}
    if video_format.pixels.startswith("yuv"):
        if pixels != video_format.pixels:
            frames = frames.filter("scale", flags=SCALING, in_range="pc", out_range="tv", out_color_matrix="bt709")
        tags = {"color_range": "tv", **_BT709}
    frames = frames.filter("format", video_format.pixels)
    if tags:
        frames = frames.filter("setparams", range="tv", **_BT709)
    return ffmpeg.output(
        frames,
        f"file:{target.absolute()}",
        format=video_format.container,
        fflags="+bitexact",
        **video_format.video_options,
        **tags,
        **options,
    )

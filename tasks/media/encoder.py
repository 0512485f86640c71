"""Frames and a clip's sound become a video file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ffmpeg  # type: ignore[import-untyped]
import numpy as np

from tasks.media.audio import AudioSource, AudioStream, find_audio
from tasks.media.decoder import verify
from tasks.media.ffmpeg_process import SCALING, FfmpegProcess
from tasks.media.input_formats import AUDIO_FORMATS, CLIP_FORMATS, source
from tasks.media.languages import iso_639_2
from tasks.media.mux import retime
from tasks.media.output_formats import VideoFormat, h264
from tasks.media.provenance import AI_GENERATED, mark
from tasks.media.timing import Timing
from troupe.clip_info import ClipInfo
from troupe.errors import FfmpegError
from troupe.faces import Picture

__all__ = ["VideoEncoder", "VideoMetadata", "encode"]

_FLUSH_SECONDS = 600.0
"""For the frames that x264 still holds, some 50, which may be large and the machine slow."""
_BT709 = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}


@dataclass(frozen=True)
class VideoMetadata:
    """What a video says of itself.

    Attributes:
        run_id, job_id: where it comes from.
        language: of the speech, BCP 47; empty if unknown.
    """

    run_id: str = ""
    job_id: str = ""
    language: str = ""

    @property
    def comment(self) -> str:
        """The text for the file's comment."""
        named = [f"{name} {value}" for name, value in (("run", self.run_id), ("job", self.job_id)) if value]
        return f"{AI_GENERATED} ({', '.join(named)})" if named else AI_GENERATED


class VideoEncoder:
    """Writes one video, frame by frame: H.264, 4:2:0, BT.709, with sound as long as the picture, unless told otherwise.

    Used as a context manager; the file appears, whole and verified, when it is left or `finish` is called. Where
    an error leaves it, ffmpeg is ended and nothing remains. Odd sides are made even, where the form needs it, by
    repeating the last column or row. The same frames give the same bytes with the same ffmpeg.

    The picture is encoded first and the sound joined at the end, when the length of the picture is known exactly:
    copied where the form takes its codec and it is whole, else encoded again to the sample.

    Args:
        path: the file to write, with the form's suffix; its folder must be there, a file of that name is replaced.
        rate: frames a second.
        size: (width, height) of the frames that will be given.
        audio: where the sound comes from; None, or a file without sound, gives a video without a sound stream.
        note: what the file says of itself.
        timing: when each frame is shown, for frames that are not evenly spaced; `rate` is then their mean.
        form: of the file; H.264 in MP4 if None.

    Raises:
        InputError: the sound's file cannot be used.
        FfmpegError: ffmpeg failed.

    Example:
        >>> with Encoder(path, rate=Fraction(25), size=(512, 512), audio=AudioSource(clip)) as encoder:
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
        note: VideoMetadata | None = None,
        timing: Timing | None = None,
        form: VideoFormat | None = None,
    ) -> None:
        self._path, self._rate, self._size = path, rate, size
        self._note = note or VideoMetadata()
        self._timing = timing if timing is not None and not timing.even else None
        self._form = form or h264(size=size)
        # Found now, so that an unusable file is reported before hours of rendering.
        self._sound = None if audio is None else find_audio(audio)
        self._frames = 0
        self._info: ClipInfo | None = None

    def __enter__(self) -> Self:
        # In the target's folder, so that the last step is a rename; readable by nobody else.
        self._folder = tempfile.TemporaryDirectory(prefix=".encoding-", dir=self._path.parent)
        self._picture = Path(self._folder.name, f"picture{self._form.suffix}")
        try:
            # Frames that are retimed must be in the file in the order in which they are shown.
            order = {} if self._timing is None else {"bf": 0}
            graph = _picture_graph(self._picture, self._rate, self._padded, self._form, **order)
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
        """(width, height) as they are encoded."""
        width, height = self._size
        return (width + width % 2, height + height % 2) if self._form.subsampled else self._size

    def write(self, frame: Picture) -> None:
        """Add a frame, (height, width, 3) of the size stated.

        Raises:
            FfmpegError: ffmpeg gave up, or took nothing for too long.
        """
        if self._info is not None:
            raise ValueError(f"{self._path.name} is finished")
        width, height = self._size
        if frame.shape != (height, width, 3) or frame.dtype != np.uint8:
            raise ValueError(f"a frame is ({height}, {width}, 3) uint8 here; this is {frame.shape} {frame.dtype}")
        wide, tall = self._padded
        if (wide, tall) != (width, height):
            frame = np.pad(frame, ((0, tall - height), (0, wide - width), (0, 0)), mode="edge")
        self._process.write(np.ascontiguousarray(frame).reshape(-1).data)
        self._frames += 1

    def finish(self) -> ClipInfo:
        """Write the file, unless that has been done; no frame can be added afterwards.

        Raises:
            FfmpegError: ffmpeg failed, no frame was written, or the file is not what was meant.
        """
        if self._info is not None:
            return self._info
        _expect_success(self._process, "encoding the picture", _FLUSH_SECONDS)
        if self._frames == 0:
            raise FfmpegError(f"no frame was given for {self._path.name}")
        picture, seconds = self._picture, float(self._frames / self._rate)
        if self._timing is not None:
            if len(self._timing.times) != self._frames:
                raise ValueError(f"{self._frames} frames were given, times of {len(self._timing.times)}")
            picture, seconds = picture.with_stem("timed"), self._timing.seconds
            retime(self._picture, picture, self._timing)
        whole = self._picture.with_stem("whole")
        with FfmpegProcess(_whole_graph(whole, picture, self._sound, seconds, self._note, self._form)) as process:
            _expect_success(process, "joining picture and sound", _FLUSH_SECONDS + seconds)
        if self._form.container != "matroska":
            mark(whole, self._note.comment)
        whole.replace(self._path)
        try:
            self._info = verify(
                self._path,
                frames=self._frames,
                rate=self._rate,
                size=self._padded,
                audio=self._sound is not None,
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
    note: VideoMetadata | None = None,
    timing: Timing | None = None,
    form: VideoFormat | None = None,
) -> ClipInfo:
    """Write all of `frames` as one video; arguments and errors are those of `VideoEncoder`."""
    with VideoEncoder(path, rate=rate, size=size, audio=audio, note=note, timing=timing, form=form) as encoder:
        for frame in frames:
            encoder.write(frame)
        return encoder.finish()


def _expect_success(process: FfmpegProcess, doing: str, limit: float) -> None:
    code = process.finish(limit)
    if code != 0:
        raise FfmpegError(f"ffmpeg failed at {doing} (code {code}): {process.complaint or 'it gave no reason'}")


def _picture_graph(target: Path, rate: Fraction, size: tuple[int, int], form: VideoFormat, **more: int) -> Any:
    width, height = size
    frames = ffmpeg.input(
        "pipe:0",
        protocol_whitelist="pipe",
        format="rawvideo",
        pix_fmt="rgb24",
        s=f"{width}x{height}",
        framerate=str(rate),
    )
    tags: dict[str, str] = {}
    if form.pixels.startswith("yuv"):
        frames = frames.filter("scale", flags=SCALING, in_range="pc", out_range="tv", out_color_matrix="bt709")
        tags = {"color_range": "tv", **_BT709}
    frames = frames.filter("format", form.pixels)
    if tags:
        frames = frames.filter("setparams", range="tv", **_BT709)
    return ffmpeg.output(
        frames, f"file:{target.absolute()}", format=form.container, fflags="+bitexact", **form.picture, **tags, **more
    )


def _whole_graph(
    target: Path, picture: Path, sound: AudioStream | None, seconds: float, note: VideoMetadata, form: VideoFormat
) -> Any:
    streams = [source(picture, CLIP_FORMATS)["v:0"]]
    options: dict[str, Any] = {}
    if sound is not None:
        if sound.codec in form.copies and sound.whole_for(seconds):
            streams.append(source(sound.path, AUDIO_FORMATS, itsoffset=f"{-sound.begin:.6f}")[str(sound.stream)])
            options |= {"acodec": "copy", "t": f"{seconds:.6f}"}
        else:
            streams.append(_exactly(source(sound.path, AUDIO_FORMATS)[str(sound.stream)], sound, seconds))
            options |= {**form.sound, "flags:a": "+bitexact"}
        if note.language:
            options["metadata:s:a:0"] = f"language={iso_639_2(note.language)}"
    if form.container != "matroska":
        options["movflags"] = "+faststart"
    return ffmpeg.output(
        *streams,
        f"file:{target.absolute()}",
        format=form.container,
        vcodec="copy",
        map_metadata=-1,
        map_chapters=-1,
        metadata=f"comment={note.comment}",
        fflags="+bitexact",
        **options,
    )


def _exactly(stream: Any, sound: AudioStream, seconds: float) -> Any:
    """The cut of a sound stream: from its begin, silence where it has none, as long as the picture."""
    # Cut at its end first: a damaged time stamp may lie years ahead, and the silence until then is no small thing.
    end = sound.begin + seconds if sound.end is None else min(sound.end, sound.begin + seconds)
    stream = stream.filter("atrim", start=f"{sound.begin:.6f}", end=f"{end:.6f}")
    stream = stream.filter("asetpts", f"PTS-({sound.begin:.6f})/TB")
    # Sound that begins late or has holes keeps its place in time: silence is put in.
    stream = stream.filter("aresample", **{"async": 1, "first_pts": 0})
    return stream.filter("apad", whole_dur=f"{seconds:.6f}").filter("atrim", end=f"{seconds:.6f}")

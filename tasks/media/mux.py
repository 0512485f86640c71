"""Mux encoded pictures: set the times of their frames, and join them with sound. The picture is not re-encoded."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import ffmpeg  # type: ignore[import-untyped]
import numpy as np

from tasks.media.audio import AudioStream
from tasks.media.decoder import AUDIO_TOLERANCE
from tasks.media.ffmpeg_process import DECODER_BYTES, FLUSH_SECONDS, FfmpegProcess, expect_success
from tasks.media.input_formats import AUDIO_FORMATS, CLIP_FORMATS, ffmpeg_input
from tasks.media.languages import iso_639_2
from tasks.media.mp4_boxes import MP4_SUFFIXES, hide_subtitles
from tasks.media.output_formats import VideoFormat
from tasks.media.provenance import VideoMetadata, append_xmp
from tasks.media.subtitles import SubtitleTrack
from tasks.media.timing import Timing
from troupe.errors import FfmpegError, UnreadableMedia

__all__ = ["USUAL_LAYOUTS", "add_sound", "audio_graph", "fit_audio", "mux", "mux_graph", "retime"]

TICK = Fraction(1, 90000)
"""Time base in seconds, MPEG's; rounding to it loses at most a few microseconds."""
_TRIAL_SECONDS = 0.25
_TRIAL_PROCESSOR_SECONDS = 60


USUAL_LAYOUTS = ("mono", "stereo", "1 channels", "2 channels")
"""Layouts that every encoder accepts."""


def fit_audio(
    audio: AudioStream, video_format: VideoFormat, *, try_usual: bool = True
) -> tuple[AudioStream, list[str]]:
    """Find how a format can hold an audio stream, by encoding its beginning with the format's encoder and container.

    Args:
        try_usual: whether to try layouts that every encoder accepts, too: before long work, but not where muxing, which
            also finds out whether packets can be copied, follows at once.

    Returns:
        the stream, to be mixed and copied as the format can, and notes for the user about that.

    Raises:
        UnreadableMedia: it cannot be encoded at all.
    """
    if not try_usual and audio.layout in USUAL_LAYOUTS:
        return audio, []
    if audio.codec in video_format.copied_codecs:
        audio = replace(audio, copyable=not _trial(audio, video_format, copied=True))
    notes = [] if audio.right is None else ["sound: two tracks, left and right, were joined to stereo"]
    problem = _trial(audio, video_format)
    if not problem:
        return audio, notes
    for mix in _mixes(audio):
        mixed = replace(audio, mix=mix, copyable=False)
        if not _trial(mixed, video_format):
            if audio.channels > 2 or not audio.layout.endswith(" channels"):  # else they are mono or stereo anyway
                notes.append(f"sound: {audio.layout} was mixed to {mix.partition('|')[0]} ({problem})")
            return mixed, notes
    raise UnreadableMedia(
        f"the sound of {audio.path.name} ({audio.codec}, {audio.layout}) cannot be encoded: {problem}; "
        f"convert it to a stereo WAV file, or set audio to none"
    )


def _mixes(audio: AudioStream) -> Iterator[str]:
    """Yield ways to mix channels in a layout that the encoder does not accept, the best first."""
    if audio.channels == 2:
        yield "stereo|c0=c0|c1=c1"
    elif audio.channels > 2 and not audio.layout.endswith(" channels"):  # else the channels have no positions
        yield "stereo"
    yield "mono|c0<" + "+".join(f"c{channel}" for channel in range(audio.channels))


def _trial(audio: AudioStream, video_format: VideoFormat, *, copied: bool = False) -> str:
    """Encode or copy a fraction of a second; return ffmpeg's error messages, empty if it succeeds."""
    options: dict[str, Any] = {"acodec": "copy"} if copied else dict(video_format.audio_options)
    stream = _stream(audio)
    if not copied:
        stream = stream.filter("atrim", duration=_TRIAL_SECONDS).filter("asetpts", "PTS-STARTPTS")
        stream = stream.filter("apad", whole_dur=_TRIAL_SECONDS)
    with tempfile.TemporaryDirectory(prefix="troupe-sound-") as folder:
        target = f"file:{folder}/sound{video_format.suffix}"
        graph = ffmpeg.output(stream, target, format=video_format.container, t=_TRIAL_SECONDS, **options)
        with FfmpegProcess(graph, processor_seconds=_TRIAL_PROCESSOR_SECONDS, memory=DECODER_BYTES) as process:
            failed = process.finish() != 0
            return process.errors.partition(" | ")[0] or "ffmpeg gave no reason" if failed else ""


def retime(source: Path, target: Path, timing: Timing) -> None:
    """Copy a picture stream with new presentation times.

    Args:
        source: a file of `VideoEncoder`: one picture stream with its frames in the order of presentation.
        target: the file to write, in the same container format.
        timing: times of the same number of frames.
    """
    stamps = np.round(np.array([*timing.times, timing.seconds]) / float(TICK)).astype(np.int64)
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        stream.time_base = TICK
        packets = (packet for packet in reader.demux(video=0) if packet.size)  # without the empty packet at the end
        for packet, stamp, next_stamp in zip(packets, stamps[:-1], stamps[1:], strict=True):
            packet.pts = packet.dts = int(stamp)
            packet.duration = int(next_stamp - stamp)
            packet.time_base = TICK
            packet.stream = stream
            writer.mux(packet)


def add_sound(
    picture: Path,
    target: Path,
    audio: AudioStream | None,
    seconds: float,
    rate: Fraction,
    metadata: VideoMetadata,
    video_format: VideoFormat,
    subtitles: SubtitleTrack | None = None,
) -> None:
    """Write a video with the picture of a file, copied bit by bit, and with a sound; replaces an existing file.

    Args:
        picture: file with the encoded picture.
        target: the file to write, with the format's suffix.
        audio: the sound, as `fit_audio` returns it; None gives a file without an audio stream.
        seconds, rate: length and frames per second of the picture; the sound is cut or padded to the length.
        subtitles: a text track.

    Raises:
        FfmpegError: ffmpeg failed, or the picture, the sound or the text track in the file is not what was intended.
    """
    partial = target.with_stem(f"{target.stem}.part")
    mux(partial, picture, audio, seconds, metadata, video_format, subtitles)
    if subtitles is not None and video_format.suffix in MP4_SUFFIXES:
        hide_subtitles(partial)
    problems = []
    if _picture_digest(partial) != _picture_digest(picture):
        problems.append("the picture was not copied as it is")
    written = _sound_seconds(partial)
    if (written is None) != (audio is None):
        problems.append("no sound" if written is None else "unexpected sound")
    elif written is not None and abs(written - seconds) > max(float(1 / rate), AUDIO_TOLERANCE):
        problems.append(f"{written:.3f} s of sound for {seconds:.3f} s of picture")
    if _text_tracks(partial) != int(subtitles is not None):
        problems.append("no subtitles" if subtitles is not None else "unexpected subtitles")
    if problems:
        partial.unlink()
        raise FfmpegError(f"verifying {target.name} after muxing failed: {', '.join(problems)}; mux it again")
    partial.replace(target)


def _picture_digest(path: Path) -> str:
    """Return the SHA-256 of the packets of a file's picture."""
    digest = hashlib.sha256()
    with av.open(str(path)) as reader:
        for packet in reader.demux(video=0):
            digest.update(bytes(packet))
    return digest.hexdigest()


def _sound_seconds(path: Path) -> float | None:
    """Return the length of a file's sound; None if it has none."""
    with av.open(str(path)) as reader:
        if not reader.streams.audio:
            return None
        stream = reader.streams.audio[0]
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        ends = [
            float((packet.pts + packet.duration) * packet.time_base)
            for packet in reader.demux(audio=0)
            if packet.pts is not None and packet.duration and packet.time_base is not None
        ]
        return max(ends, default=0.0)


def _text_tracks(path: Path) -> int:
    """Return the number of a file's text tracks."""
    with av.open(str(path)) as reader:
        return len(reader.streams.subtitles)


def mux(
    target: Path,
    picture: Path,
    audio: AudioStream | None,
    seconds: float,
    metadata: VideoMetadata,
    video_format: VideoFormat,
    subtitles: SubtitleTrack | None = None,
) -> None:
    """Join an encoded picture with an audio stream, and label the file; arguments are those of `mux_graph`.

    Raises:
        FfmpegError: ffmpeg failed.
    """

    def write(audio: AudioStream | None) -> None:
        graph = mux_graph(target, picture, audio, seconds, metadata, video_format, subtitles)
        with FfmpegProcess(ffmpeg.overwrite_output(graph)) as process:
            expect_success(process, "muxing picture and sound", FLUSH_SECONDS + seconds)

    try:
        write(audio)
    except FfmpegError:
        # Damaged packets may be refused where they are copied, while a decoder continues after them.
        if audio is None or not audio.copyable:
            raise
        write(replace(audio, copyable=False))
    if video_format.container != "matroska":
        append_xmp(target, metadata.comment)


def mux_graph(
    target: Path,
    picture: Path,
    audio: AudioStream | None,
    seconds: float,
    metadata: VideoMetadata,
    video_format: VideoFormat,
    subtitles: SubtitleTrack | None = None,
) -> Any:
    """Build the ffmpeg graph that joins an encoded picture with an audio stream and a text track.

    Args:
        target: the file to write.
        picture: file with the encoded picture, which is copied.
        audio: the sound; None gives a file without an audio stream.
        seconds: length of the picture, to which the sound is cut or padded.
        metadata: metadata of the file.
        video_format: format of the file.
        subtitles: a text track.
    """
    streams = [ffmpeg_input(picture, CLIP_FORMATS)["v:0"]]
    options: dict[str, Any] = {}
    if audio is not None:
        if audio.copyable and audio.codec in video_format.copied_codecs and audio.is_continuous_for(seconds):
            streams.append(ffmpeg_input(audio.path, AUDIO_FORMATS, itsoffset=f"{-audio.start:.6f}")[str(audio.stream)])
            options |= {"acodec": "copy", "t": f"{seconds:.6f}"}
        else:
            streams.append(audio_graph(audio, seconds))
            options |= {**video_format.audio_options, "flags:a": "+bitexact"}
        if language := metadata.language or audio.language:
            options["metadata:s:a:0"] = f"language={iso_639_2(language)}"
    if subtitles is not None:
        streams.append(subtitles.stream)
        options |= subtitles.options
    if video_format.container != "matroska":
        options["movflags"] = "+faststart"
    return ffmpeg.output(
        *streams,
        f"file:{target.absolute()}",
        format=video_format.container,
        vcodec="copy",
        map_metadata=-1,
        map_chapters=-1,
        metadata=f"comment={metadata.comment}",
        fflags="+bitexact",
        **options,
    )


def audio_graph(audio: AudioStream, seconds: float | None) -> Any:
    """Build the graph of an audio stream with its channels mixed, cut and padded to exactly `seconds`.

    With `seconds` None it is as long as the stream, or as its part.
    """
    # Cut the end first: a damaged time stamp may be years ahead, and the gap would be filled with silence.
    ends = [end for end in (audio.end, None if seconds is None else audio.start + seconds) if end is not None]
    window = {"end": f"{min(ends):.6f}"} if ends else {}
    stream = _stream(audio).filter("atrim", start=f"{audio.start:.6f}", **window)
    stream = stream.filter("asetpts", f"PTS-({audio.start:.6f})/TB")
    if seconds is None:
        return stream
    # Fill a late start and gaps with silence, so that the sound keeps its place in time.
    stream = stream.filter("aresample", **{"async": 1, "first_pts": 0})
    return stream.filter("apad", whole_dur=f"{seconds:.6f}").filter("atrim", end=f"{seconds:.6f}")


def _stream(audio: AudioStream) -> Any:
    """Build the graph of an audio stream with its channels mixed."""
    source = ffmpeg_input(audio.path, AUDIO_FORMATS)
    stream = source[str(audio.stream)]
    if audio.right is not None:
        stream = ffmpeg.filter([stream, source[str(audio.right)]], "join", inputs=2, channel_layout="stereo")
    if audio.mix == "stereo":
        return stream.filter("aformat", channel_layouts="stereo")
    return stream.filter("pan", audio.mix) if audio.mix else stream

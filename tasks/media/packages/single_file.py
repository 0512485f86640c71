"""Packages of one file: MP4 or Matroska with a track for every language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import ffmpeg  # type: ignore[import-untyped]

from tasks.media.ffmpeg_process import FLUSH_SECONDS, FfmpegProcess, expect_success
from tasks.media.input_formats import CLIP_FORMATS, ffmpeg_input
from tasks.media.languages import iso_639_2
from tasks.media.mp4_boxes import hide_subtitles
from tasks.media.output_formats import LOSSLESS, VideoFormat, h264
from tasks.media.packages.digests import stream_digests
from tasks.media.packages.track import PackageTrack
from tasks.media.provenance import VideoMetadata, append_xmp
from tasks.media.subtitles import Subtitles, subtitle_track
from troupe.errors import FfmpegError

__all__ = ["write_mkv", "write_mp4"]


def write_mp4(
    target: Path, tracks: Sequence[PackageTrack], subtitles: Sequence[Subtitles | None], metadata: VideoMetadata
) -> None:
    """Write an MP4 file with the picture of the first film, and the sound and subtitles of all, as `mov_text`.

    Picture and sound are copied bit by bit.

    Args:
        target: the file to write; files beside it whose names start with its name are scratch.
        tracks: films with the same picture; those without sound have no audio track.
        subtitles: those of the tracks.
        metadata: metadata of the file.

    Raises:
        FfmpegError: ffmpeg failed, or what it wrote is not what the films contain.
    """
    _write(target, tracks, subtitles, metadata, h264())
    append_xmp(target, metadata.comment)


def write_mkv(
    target: Path, tracks: Sequence[PackageTrack], subtitles: Sequence[Subtitles | None], metadata: VideoMetadata
) -> None:
    """Write a Matroska file, with subtitles as SRT; arguments and errors are those of `write_mp4`."""
    _write(target, tracks, subtitles, metadata, LOSSLESS)


def _write(
    target: Path,
    tracks: Sequence[PackageTrack],
    subtitles: Sequence[Subtitles | None],
    metadata: VideoMetadata,
    video_format: VideoFormat,
) -> None:
    """Write a file in the container of a format."""
    matroska = video_format.container == "matroska"
    streams = [ffmpeg_input(tracks[0].film, CLIP_FORMATS)["v:0"]]
    # Without default_mode, ffmpeg marks the first text track as default; MP4 always has one.
    options: dict[str, Any] = {"default_mode": "passthrough"} if matroska else {"movflags": "+faststart"}
    tags: list[tuple[str, str]] = []
    sounds = {track: digests[0] for track in tracks if (digests := stream_digests(track.film, "audio"))}
    for number, track in enumerate(sounds):
        streams.append(ffmpeg_input(track.film, CLIP_FORMATS)["a:0"])
        tags += [(f"metadata:s:a:{number}", tag) for tag in _tags(track, matroska)]
        options[f"disposition:a:{number}"] = "default" if track.default else "0"
    shown = [(track, cues) for track, cues in zip(tracks, subtitles, strict=True) if cues is not None]
    for number, (track, cues) in enumerate(shown):
        text = target.with_name(f"{target.name}.{number}.srt")
        added = subtitle_track(cues, text, video_format, language=track.text.language, index=number)
        streams.append(added.stream)
        options |= {**added.options, f"disposition:s:{number}": "0"}
        tags += [(f"metadata:s:s:{number}", tag) for tag in _tags(track.text, matroska)]
    graph = ffmpeg.output(
        *streams,
        f"file:{target.absolute()}",
        format=video_format.container,
        vcodec="copy",
        acodec="copy",
        map_metadata=-1,
        map_chapters=-1,
        metadata=f"comment={metadata.comment}",
        fflags="+bitexact",
        **options,
    )
    with FfmpegProcess(graph, repeated=tags) as process:
        expect_success(process, f"writing {target.name}", FLUSH_SECONDS)
    if not matroska:
        hide_subtitles(target)
    problems = []
    if stream_digests(target, "video") != stream_digests(tracks[0].film, "video"):
        problems.append("the picture was not copied as it is")
    if stream_digests(target, "audio") != list(sounds.values()):
        problems.append("the sounds were not copied as they are")
    with av.open(str(target)) as container:
        if len(container.streams.subtitles) != len(shown):
            problems.append(f"{len(container.streams.subtitles)} of {len(shown)} tracks of subtitles")
    if problems:
        target.unlink()
        raise FfmpegError(f"verifying {target.name} failed: {', '.join(problems)}; export it again")


def _tags(track: PackageTrack, matroska: bool) -> list[str]:
    """Return the metadata of a track. The handler's name is what players show that do not know MP4's titles."""
    language = iso_639_2(track.language, bibliographic=matroska)
    tags = [f"language={language}", f"title={track.title}"]
    return tags if matroska else [*tags, f"handler_name={track.title}"]

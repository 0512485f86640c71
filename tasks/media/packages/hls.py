"""HLS packages: the picture once, and a rendition of sound and one of subtitles for every language."""

from __future__ import annotations

import io
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import ffmpeg  # type: ignore[import-untyped]

from tasks.media.ffmpeg_process import FLUSH_SECONDS, FfmpegProcess, expect_success
from tasks.media.input_formats import CLIP_FORMATS, ffmpeg_input, open_container
from tasks.media.packages.codecs import rfc_6381
from tasks.media.packages.digests import packets_digest, stream_digests
from tasks.media.packages.playlists import (
    Rendition,
    Segment,
    media_playlist,
    multivariant_playlist,
    read_segments,
    target_duration,
)
from tasks.media.packages.track import PackageTrack
from tasks.media.provenance import VideoMetadata
from troupe.errors import FfmpegError, SettingsError

__all__ = ["MULTIVARIANT", "write_hls"]

MULTIVARIANT = "master.m3u8"
"""Name of the multivariant playlist."""
_PLAYLIST, _INITIALISATION, _TEXT = "playlist.m3u8", "init.mp4", "subtitles.vtt"
_SEGMENT_SECONDS = 6
"""Least length of a segment, as Apple recommends it; the picture's end at keyframes."""
_COPIED: Mapping[str, str] = {"acodec": "copy"}
_CONVERTED: Mapping[str, str] = {"acodec": "aac", "audio_bitrate": "192k", "flags:a": "+bitexact"}


def write_hls(folder: Path, tracks: Sequence[PackageTrack], metadata: VideoMetadata) -> list[str]:
    """Write an HLS presentation in fragmented MP4. The picture is copied bit by bit, and so is sound in AAC.

    Args:
        folder: empty folder to write to.
        tracks: films with the same picture; those without sound have no rendition of it.
        metadata: metadata of the presentation.

    Returns:
        notes about what was converted.

    Raises:
        SettingsError: the picture is not H.264.
        FfmpegError: ffmpeg failed, or what it wrote is not what the films contain.
    """
    picture = stream_digests(tracks[0].film, "video")[0]
    if picture.codec != "h264":
        raise SettingsError(f"the picture is {picture.codec}, but HLS needs H.264; choose another package")
    notes: list[str] = []
    outputs = [_output(folder / "video", ffmpeg_input(tracks[0].film, CLIP_FORMATS)["v:0"], {"vcodec": "copy"})]
    copied = {"video": picture.sha256}
    names = dict(zip(tracks, _names(tracks), strict=True))
    heard: list[PackageTrack] = []
    for track, name in names.items():
        for sound in stream_digests(track.film, "audio")[:1]:
            heard.append(track)
            if sound.codec == "aac":
                copied[f"audio-{name}"] = sound.sha256
            else:
                notes.append(f"sound of {track.name}: {sound.codec} was converted to AAC, which HLS players need")
            options = _COPIED if sound.codec == "aac" else _CONVERTED
            source = ffmpeg_input(track.film, CLIP_FORMATS)["a:0"]
            outputs.append(_output(folder / f"audio-{name}", source, options, _sound_seconds(track.film)))
    with FfmpegProcess(ffmpeg.merge_outputs(*outputs)) as process:
        expect_success(process, "writing the segments", FLUSH_SECONDS)
    video, info = _rendition(folder / "video", copied)
    audio = [_rendition(folder / f"audio-{names[track]}", copied, track)[0] for track in heard]
    target = target_duration([video, *audio])
    for rendition in (video, *audio):
        playlist = media_playlist(rendition.segments, target, _INITIALISATION)
        (folder / rendition.uri).write_text(playlist, encoding="utf-8")
    seconds = sum(segment.seconds for segment in video.segments)
    texts = [track.text for track in tracks if track.subtitles]
    subtitles = [
        _subtitles(folder / f"subtitles-{name}", text, seconds) for text, name in zip(texts, _names(texts), strict=True)
    ]
    text = multivariant_playlist(video, audio, subtitles, **info, comment=metadata.comment)
    (folder / MULTIVARIANT).write_text(text, encoding="utf-8")
    return notes


def _names(tracks: Sequence[PackageTrack]) -> list[str]:
    """Return names for the tracks' folders: their languages, numbered where several are equal."""
    names: list[str] = []
    for track in tracks:
        language = re.sub(r"[^A-Za-z0-9-]+", "-", track.language).strip("-") or "und"
        same = sum(re.fullmatch(rf"{language}(_\d+)?", name, re.IGNORECASE) is not None for name in names)
        names.append(f"{language}_{same + 1}" if same else language)
    return names


def _sound_seconds(film: Path) -> float:
    """Return the length of the segments of sound: equal parts, because players never fetch a bit after the picture."""
    with open_container(film, CLIP_FORMATS) as container:
        seconds = (container.duration or 0) / av.time_base
    return (seconds + 0.1) / max(math.ceil(seconds / _SEGMENT_SECONDS), 1)


def _output(folder: Path, stream: Any, options: Mapping[str, str], seconds: float = _SEGMENT_SECONDS) -> Any:
    folder.mkdir()
    return ffmpeg.output(
        stream,
        str((folder / _PLAYLIST).absolute()),
        format="hls",
        hls_segment_type="fmp4",
        hls_time=seconds,
        hls_playlist_type="vod",
        hls_fmp4_init_filename=_INITIALISATION,
        hls_segment_filename=str((folder / "%05d.m4s").absolute()),
        # Else ffmpeg delays sound by its encoder's delay and the picture by the reordering of its frames.
        avoid_negative_ts="disabled",
        map_metadata=-1,
        map_chapters=-1,
        fflags="+bitexact",
        **options,
    )


def _rendition(
    folder: Path, copied: Mapping[str, str], track: PackageTrack | None = None
) -> tuple[Rendition, dict[str, Any]]:
    """Read what ffmpeg wrote, and compare it with what was to be copied.

    Returns:
        the rendition, and size and rate of a picture.
    """
    segments = read_segments(folder / _PLAYLIST)
    parts = [_INITIALISATION, *(segment.name for segment in segments)]
    with av.open(io.BytesIO(b"".join((folder / name).read_bytes() for name in parts)), "r") as container:
        (stream,) = container.streams
        if copied.get(folder.name, digest := packets_digest(container.demux(stream))) != digest:
            raise FfmpegError(f"verifying {folder.name} failed: it was not copied as it is; export it again")
        if isinstance(stream, av.VideoStream):
            info = {"size": (stream.width, stream.height), "rate": float(stream.average_rate or 0)}
            return Rendition(f"{folder.name}/{_PLAYLIST}", segments, rfc_6381(stream)), info
        if not isinstance(stream, av.AudioStream):
            raise FfmpegError(f"verifying {folder.name} failed: it is neither picture nor sound; export it again")
        channels = stream.channels
        return Rendition(f"{folder.name}/{_PLAYLIST}", segments, rfc_6381(stream), channels, track), {}


def _subtitles(folder: Path, track: PackageTrack, seconds: float) -> Rendition:
    """Write subtitles as one segment of WebVTT, which keeps all that is in the file."""
    subtitles = track.subtitles
    if subtitles is None:
        raise ValueError(f"{track.name} has no subtitles")
    folder.mkdir()
    shutil.copyfile(subtitles, folder / _TEXT)
    segment = Segment(_TEXT, seconds, subtitles.stat().st_size)
    rendition = Rendition(f"{folder.name}/{_PLAYLIST}", [segment], track=track)
    (folder / _PLAYLIST).write_text(media_playlist([segment], target_duration([rendition])), encoding="utf-8")
    return rendition

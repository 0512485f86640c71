"""Text tracks of videos, which viewers can switch on and off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.media.input_formats import ffmpeg_input
from tasks.media.languages import iso_639_2
from tasks.media.output_formats import VideoFormat
from tasks.media.subtitles.cues import Subtitles, separated, without_commands
from tasks.media.subtitles.writer import write_srt

__all__ = ["SubtitleTrack", "subtitle_track"]

_CODECS = {"matroska": "copy"}
"""ffmpeg's names of text codecs by container: Matroska holds SRT; others are MP4's, `mov_text`."""


@dataclass(frozen=True)
class SubtitleTrack:
    """A text track, as ffmpeg needs it to mux one.

    Attributes:
        stream: the input stream, to be added to the output's streams.
        options: options of the output.
    """

    stream: Any
    options: Mapping[str, str]


def subtitle_track(
    subtitles: Subtitles, path: Path, video_format: VideoFormat, *, language: str = "", index: int = 0
) -> SubtitleTrack:
    """Prepare a text track for a video.

    Args:
        subtitles: with times of the video, and at least one cue.
        path: SRT file to write, which ffmpeg reads; it must exist until the video is muxed.
        video_format: format of the video.
        language: language tag, BCP 47; stored as ISO 639-2.
        index: number of the text tracks before this one.
    """
    codec = _CODECS.get(video_format.container, "mov_text")
    write_srt(without_commands(separated(subtitles)) if codec == "mov_text" else subtitles, path)
    options = {f"c:s:{index}": codec}
    if language:
        options[f"metadata:s:s:{index}"] = f"language={iso_639_2(language)}"
    return SubtitleTrack(ffmpeg_input(path, "srt")["s:0"], options)

"""Write subtitles as WebVTT and SRT."""

from __future__ import annotations

import html
import io
from pathlib import Path

import webvtt

from tasks.media.subtitles.cues import Subtitles, timestamp

__all__ = ["write_srt", "write_vtt"]


def write_vtt(subtitles: Subtitles, path: Path) -> None:
    """Write a WebVTT file, in UTF-8."""
    path.write_text(_file(subtitles).content, encoding="utf-8")


def write_srt(subtitles: Subtitles, path: Path) -> None:
    """Write an SRT file, in UTF-8. It keeps bold, italic, underline and colours; SRT has no positions and voices."""
    file = _file(subtitles)
    for cue in file.captions:
        cue.text = cue.raw_text.replace("--&gt;", "\N{RIGHTWARDS ARROW}")  # else it would be a time line
    content = io.StringIO()
    file.write(content, format="srt", keep_formatting=True)
    path.write_text(html.unescape(content.getvalue()) + "\n", encoding="utf-8")


def _file(subtitles: Subtitles) -> webvtt.WebVTT:
    return webvtt.WebVTT(
        captions=[
            webvtt.Caption(timestamp(cue.start), timestamp(cue.end), cue.text, settings=cue.settings)
            for cue in subtitles.cues
        ],
        styles=[webvtt.Style(style) for style in subtitles.styles],
        regions=[webvtt.Region.from_string(region) for region in subtitles.regions],
    )

"""Draw subtitles into a picture, with libass."""

from __future__ import annotations

import html
import re
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]

from tasks.media.ffmpeg_process import STALL_SECONDS, ffmpeg_binary, ffmpeg_environment
from tasks.media.subtitles.cues import Cue, Subtitles, without_commands
from tasks.media.subtitles.writer import write_srt

__all__ = ["burn", "burn_problem"]

_MISSING = re.compile(r"failed to find any fallback with glyph 0x([0-9A-F]+)")
_BRACE = re.compile(r"[{}]")
_SHOWN = 10
"""Number of characters in a message."""


def burn(frames: Any, subtitles: Subtitles, path: Path) -> Any:
    """Draw subtitles into frames: near the bottom, as high as 1/18 of the picture, white with a black outline.

    Args:
        frames: a video stream of an ffmpeg graph, whose time starts at 0.
        subtitles: with the times of the frames.
        path: SRT file to write, which ffmpeg reads; it must exist until the video is encoded.
    """
    cues = (replace(cue, text=_BRACE.sub(r"\\\g<0>", cue.text)) for cue in without_commands(subtitles).cues)
    write_srt(subtitles.with_cues(cues), path)  # without the backslash, braces hide what is between them
    return frames.filter("subtitles", filename=str(path.absolute()))


def burn_problem(subtitles: Subtitles) -> str:
    """Return why subtitles cannot be drawn on this machine; empty if they can.

    Without a font, or with one that lacks a script, libass draws nothing or boxes and reports success.
    """
    used = {character for cue in subtitles.cues for character in html.unescape(cue.text)}
    characters = ["A", *sorted(character for character in used if not character.isascii() and character.isprintable())]
    text = "\n".join(" ".join(characters[start : start + 40]) for start in range(0, len(characters), 40))
    with tempfile.TemporaryDirectory(prefix="troupe-subtitles-") as folder:
        path = Path(folder, "characters.srt")
        black = ffmpeg.input("color=s=512x512:d=1:r=1", format="lavfi")
        drawn = burn(black, Subtitles((Cue(0, 1000, text),)), path)
        arguments = ffmpeg.get_args(ffmpeg.output(drawn, "pipe:1", format="rawvideo", pix_fmt="gray"))
        try:
            ran = subprocess.run(
                [ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "warning", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=STALL_SECONDS,
                env=ffmpeg_environment(),
            )
        except subprocess.TimeoutExpired:
            return "ffmpeg was stuck while it drew subtitles"
    errors = ran.stderr.decode(errors="replace")
    if ran.returncode != 0:
        return f"ffmpeg cannot draw subtitles: {errors.strip().splitlines()[0]}; it needs libass"
    missing = sorted({chr(int(code, 16)) for code in _MISSING.findall(errors)})
    if missing:
        return (
            f"no font on this machine has {' '.join(missing[:_SHOWN])}{' ...' if len(missing) > _SHOWN else ''}; "
            f"install one for the script of the subtitles, such as Noto Sans"
        )
    if len(set(ran.stdout)) < 2:
        return "no font on this machine can draw subtitles; install one, such as Noto Sans"
    return ""

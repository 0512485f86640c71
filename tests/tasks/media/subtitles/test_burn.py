"""Subtitles drawn into pictures: at their time, in their script, or refused before."""

from __future__ import annotations

from pathlib import Path

import ffmpeg  # type: ignore[import-untyped]
import numpy as np
import pytest

from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.subtitles import Cue, Subtitles, burn, burn_problem

SIZE = 256


def drawn(subtitles: Subtitles, path: Path, seconds: int = 3) -> np.ndarray:
    """Return (F, height, width) black frames, five a second, with subtitles."""
    black = ffmpeg.input(f"color=s={SIZE}x{SIZE}:d={seconds}:r=5", format="lavfi").filter("format", "rgb24")
    frames = np.zeros((seconds * 5, SIZE, SIZE), np.uint8)
    graph = ffmpeg.output(burn(black, subtitles, path), "pipe:1", format="rawvideo", pix_fmt="gray")
    with FfmpegProcess(graph) as process:
        assert process.read_into(memoryview(frames).cast("B")), process.errors
    return frames


def test_text_is_drawn_while_it_is_shown(tmp_path: Path) -> None:
    # A name that ffmpeg's graphs would take apart.
    path = tmp_path / "we'ird, [a]:b;c=d \\ %d.srt"
    frames = drawn(Subtitles((Cue(600, 1600, "Hello"),)), path)
    bright = frames.max(axis=(1, 2)) > 150
    assert np.flatnonzero(bright).tolist() == [3, 4, 5, 6, 7]
    assert frames[5, : SIZE // 2].max() < 50


def test_all_of_a_text_is_drawn(tmp_path: Path) -> None:
    """Braces and backslashes would be commands."""

    def ink(text: str) -> int:
        return int((drawn(Subtitles((Cue(0, 1000, text),)), tmp_path / "a.srt", 1)[0] > 128).sum())

    assert ink("a{MMM}b") > ink("ab") + ink("MMM")
    assert ink("\\NMM") > ink("MM")
    assert ink("&lt;MM&gt;") > ink("MM")


def test_a_script_without_a_font_is_refused() -> None:
    assert burn_problem(Subtitles((Cue(0, 1000, "Grüß <i>Gott</i>, привет!\nSecond {line} &amp; \\N"),))) == ""
    # Characters that no font has, as those of a script are where its font is not installed.
    problem = burn_problem(Subtitles((Cue(0, 1000, "Hello \U00012000\U00012001"),)))
    assert "no font on this machine has \U00012000 \U00012001; install one" in problem


def test_no_font_at_all_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fonts.conf").write_text("<fontconfig></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))
    assert "no font on this machine" in burn_problem(Subtitles((Cue(0, 1000, "Hello"),)))

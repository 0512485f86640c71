"""Listeners of a run."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from rich.console import Console

from flows.observe.display import BarDisplay, LineDisplay
from flows.observe.progress import RunProgress, configured_listener
from tests.flows.observe.rows import FAILED, row
from troupe.errors import SettingsError
from troupe.progress import Progress

CLOCK = [0.0]
WORKING = Progress("ada__wave", "denoising", 320, 4000, "evaluations")


def clock() -> float:
    return CLOCK[0]


@pytest.fixture
def lines() -> tuple[RunProgress, LineDisplay, io.StringIO]:
    """Progress as lines, at second 0."""
    CLOCK[0], file = 0.0, io.StringIO()
    display = LineDisplay(Console(file=file), clock=clock)
    return RunProgress(display, clock), display, file


def test_lines_come_at_least_every_ten_seconds(lines: tuple[RunProgress, LineDisplay, io.StringIO]) -> None:
    progress, display, file = lines
    progress.started(2)
    progress.note("preparing 1 portrait")
    for second in range(1, 26):
        CLOCK[0] = float(second)
        if second > 12:
            progress.working(WORKING)
        display.tick()
    assert file.getvalue().splitlines() == [
        "animating: 2 jobs",
        "preparing 1 portrait",
        "0/2 jobs, 10 s: preparing 1 portrait",
        "0/2 jobs, 20 s: ada__wave: denoising 320/4000 evaluations",
    ]


def test_only_frames_of_this_run_have_a_rate(lines: tuple[RunProgress, LineDisplay, io.StringIO]) -> None:
    progress, _, file = lines
    progress.started(5)
    CLOCK[0] = 2.0
    progress.finished(row("old", "reused", frames=100))
    progress.finished(row("own", frames=100))  # of this run before it was killed
    progress.finished(row("new", frames=10, attempts=1, seconds_denoise=1.0))
    progress.finished(FAILED)
    progress.finished(row("rest", "cancelled"))
    assert file.getvalue().splitlines() == [
        "animating: 5 jobs",
        "1/5 old: reused, 100 frames",
        "2/5 own: done, 100 frames",
        "3/5 new: done, 10 frames (5.0 frames/s)",
        "4/5 b: failed, nobody there",
        "4/5 rest: cancelled, 0 frames",
    ]


@pytest.mark.parametrize("width", [50, 160])
def test_numbers_stay_where_the_terminal_is_narrow(width: int) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, color_system=None)
    bars = BarDisplay(console, transient=False)
    progress = RunProgress(bars)
    progress.started(1234)
    progress.working(WORKING)
    console.print(bars._bars.get_renderable())
    shown = file.getvalue().splitlines()
    assert "0/1234 jobs" in shown[0]
    assert "animating" in shown[0]
    assert "ada__wave: denoising 320/4000" in shown[1]
    assert max(map(len, shown)) <= width


def test_what_no_longer_reports_is_not_shown() -> None:
    shown: list[str] = []

    class Shown(LineDisplay):
        def working(self, text: str) -> None:
            shown.append(text)

    CLOCK[0] = 0.0
    progress = RunProgress(Shown(Console(file=io.StringIO()), clock=clock), clock)
    for second, name in enumerate("abcde"):
        CLOCK[0] = float(second)
        progress.working(Progress(name, "tracking", 1, 2, "frames"))
    assert shown[-1].endswith("c: tracking 1/2 frames; and 2 more")
    CLOCK[0] = 8.0
    progress.working(WORKING)
    assert shown[-1] == f"e: tracking 1/2 frames; {WORKING}"
    progress.finished(row("ada__wave", frames=1, attempts=1, seconds_denoise=1.0))
    assert shown[-1] == "e: tracking 1/2 frames"


def test_the_environment_configures_listeners(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TROUPE_LOG", "json")
    with configured_listener() as listener:
        listener.note("hello")
        listener.working(WORKING)
        listener.working(WORKING)
    said: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["message"] for line in said] == ["hello", "working"]
    assert (said[1]["job"], said[1]["evaluations"]) == ("ada__wave", 320)
    monkeypatch.setenv("TROUPE_LOG", "xml")
    with pytest.raises(SettingsError, match="text or json"), configured_listener():
        pass
    monkeypatch.setenv("TROUPE_LOG", "text")
    monkeypatch.setenv("TROUPE_METRICS", "here")
    with pytest.raises(SettingsError, match="PORT or HOST:PORT"), configured_listener():
        pass

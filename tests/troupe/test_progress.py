"""Progress within work items."""

from __future__ import annotations

from troupe.progress import Progress, ProgressReporter, report_each, report_progress


def test_a_reporter_drops_what_comes_too_soon() -> None:
    now, sent = [0.0], list[Progress]()
    reporter = ProgressReporter(sent.append, lambda: now[0])
    report_progress("outside of a call", 0, 0, "")
    with reporter.reporting("resize ada"):
        for frame in report_each(range(50), "resizing", 50, "frames"):
            now[0] = frame / 10
    assert [progress.done for progress in sent] == [1, 11, 21, 31, 41]
    assert str(sent[1]) == "resize ada: resizing 11/50 frames"


def test_items_at_once_are_reported_each_by_itself() -> None:
    sent: list[Progress] = []
    reporter = ProgressReporter(sent.append, lambda: 0.0)
    for item in "abab":
        reporter.report(item, "denoising", 1, 2, "evaluations")
    assert [progress.item for progress in sent] == ["a", "b"]


def test_an_unknown_total_is_not_shown() -> None:
    assert str(Progress("a", "reading", 7, 0, "frames")) == "a: reading 7 frames"

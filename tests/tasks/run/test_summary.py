"""What a run prints at its end."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.run.summary import Summary


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({}, "3 done, 1 failed"),
        ({"flagged": 1}, "3 done, 1 failed, 1 of them flagged"),
        ({"uncovered": 2}, "3 done, 1 failed, 2 of them not covered by a permission (see notes)"),
        (
            {"flagged": 1, "uncovered": 1},
            "3 done, 1 failed, 1 of them flagged, 1 of them not covered by a permission (see notes)",
        ),
    ],
)
def test_jobs_by_status_and_what_to_look_at(more: dict[str, Any], line: str) -> None:
    summary = Summary("r", {"failed": 1, "done": 3}, 0, 0, 0, 1.0, "m", **more)
    assert summary.jobs_line() == line
    assert f"run r: {line}; " in summary.line()

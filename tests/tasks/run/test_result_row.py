"""tasks.run.result_row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tasks.quality.thresholds import Thresholds
from tasks.run.result_row import Outcome, judged
from troupe.errors import QualityError


def test_flagged_or_failed() -> None:
    nobody = dict.fromkeys(("identity", "landmarks", "expression", "pose"))
    bad = Outcome("reused", datetime.now(UTC), facts={"quality": nobody}, attempts=1)
    assert judged(bad, Thresholds()) == bad
    missed = "no face was found in the video"
    assert judged(bad, Thresholds(0.5)) == replace(bad, flagged=missed)
    outcome = judged(bad, Thresholds(0.5, fail=True))
    assert isinstance(outcome.error, QualityError)
    assert outcome.error.kind == "quality"
    assert outcome == replace(bad, status="failed", flagged=missed, error=outcome.error)
    failed = Outcome("failed", bad.started, error=QualityError("x"))
    assert judged(failed, Thresholds(0.5, fail=True)) == failed

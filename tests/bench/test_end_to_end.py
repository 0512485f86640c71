"""The benchmark of the whole path, on a few frames."""

from __future__ import annotations

import pytest

from bench import end_to_end
from bench.end_to_end import measure


@pytest.mark.long
def test_one_short_job() -> None:
    words = ["--jobs", "1", "--preview", "0.08", "--runs", "1", "--device", "cpu"]
    findings = measure(end_to_end.parser().parse_args(words))
    pipeline, animator = findings.cases["pipeline"], findings.cases["animator"]
    assert pipeline.figures["frames"] == animator.figures["frames"] == 2
    assert findings.checks["evaluations"].ok
    assert findings.checks["evaluations"].value > 0
    for case in (pipeline, animator):
        assert case.number("seconds") > case.number("other_seconds") > 0
        assert case.number("denoise_seconds") > 0
    assert pipeline.number("encode_video_seconds") > 0
    assert {"cost_seconds", "cost_per_frame_seconds", "cost_share"} <= set(pipeline.figures)

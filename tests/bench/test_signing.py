"""The benchmark of signing, on a part of a job and small files."""

from __future__ import annotations

import pytest

from bench import signing
from bench.signing import measure


@pytest.mark.long
def test_one_job_and_small_files() -> None:
    arguments = ["--jobs", "1", "--preview", "0.2", "--sizes", "1", "2"]
    findings = measure(signing.parser().parse_args(arguments))
    assert findings.cases["demo"].number("jobs") == 1
    for name in ("2 MB", "2 MB Matroska"):
        assert findings.cases[name].number("added_bytes") < 20_000
    assert set(findings.checks) == {"sign_and_watermark_share", "growth_bytes"}
    assert findings.cases["demo"].number("watermark_share") > 0
    assert findings.checks["growth_bytes"].ok

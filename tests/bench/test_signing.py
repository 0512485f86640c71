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
    assert findings.cases["2 MB"].number("added_bytes") < 20_000
    assert set(findings.checks) == {"sign_share", "growth_bytes"}
    assert findings.checks["growth_bytes"].ok

"""The benchmark of the watermark, on one small clip."""

from __future__ import annotations

import pytest

from bench.watermark import ATTACKS, measure, parser


@pytest.mark.long
def test_one_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPE_SHARED", raising=False)
    findings = measure(parser().parse_args(["--clips", "1", "--unmarked", "1", "--sides", "256"]))
    assert set(ATTACKS) <= findings.checks.keys()
    for name in ("remux", "crf_23", "psnr_db", "read_with_another_key", "false_positives"):
        assert findings.checks[name].ok, name

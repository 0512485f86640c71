"""The benchmark of processes that share cores, on a tiny model."""

from __future__ import annotations

import os

import pytest

from bench.models import neighbours
from bench.models.neighbours import measure


@pytest.mark.slow
def test_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    findings = measure(
        neighbours.parser().parse_args(["--config", "tiny", "--turns", "1", "--runs", "1", "--frames", "4"])
    )
    assert {case: found.figures["clips"] for case, found in findings.cases.items()} == {
        "1 at once, default": 1,
        "1 at once, passive": 1,
        "2 at once, default": 2,
        "2 at once, passive": 2,
    }
    assert all(found.number("seconds") > 0 for found in findings.cases.values())
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"

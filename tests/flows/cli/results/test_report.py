"""`troupe report`."""

from __future__ import annotations

from pathlib import Path

from tests.flows.cli.conftest import troupe


def test_report(delivered: str) -> None:
    result = troupe("report", "latest", "--store", delivered)
    assert result.stdout.strip() == f"{delivered}/runs/r1/report/index.html"
    assert "key-one/full.mp4" in Path(result.stdout.strip()).read_text()
    assert troupe("report", "r9", "--store", delivered).exit_code == 2

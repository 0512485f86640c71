"""`troupe forget`."""

from __future__ import annotations

from pathlib import Path

from tests.flows.cli.conftest import troupe


def test_forget(delivered: str) -> None:
    dry = troupe("forget", "--store", delivered, "--identity", "ada", "--dry-run")
    assert "1 jobs in 1 runs, 1 files" in dry.stderr
    kept = troupe("forget", "--store", delivered, "--identity", "ada", give="n\n")
    assert kept.exit_code == 1
    assert (Path(delivered) / "renders/key-one/full.mp4").exists()
    done = troupe("forget", "--store", delivered, "--identity", "ada", give="y\n")
    assert done.exit_code == 0, done.output
    assert not (Path(delivered) / "renders/key-one/full.mp4").exists()
    assert "forgotten" in (Path(delivered) / "runs/r1/report/index.html").read_text()
    assert troupe("forget", "--store", delivered).exit_code == 2
    assert troupe("forget", "--store", delivered, "--portrait", "/nowhere.png").exit_code == 2

"""`troupe forget`."""

from __future__ import annotations

from pathlib import Path

from catalogs.store.store import open_store
from catalogs.table.exports import record_export
from tests.flows.cli.conftest import troupe


def test_forget(delivered: str) -> None:
    copy = {"file": "ada/one/master.m3u8", "package": "hls", "run_id": "r1", "job_id": "one"}
    record_export(open_store(delivered), "s3://client/out", [copy])
    dry = troupe("forget", "--store", delivered, "--identity", "ada", "--dry-run")
    assert "1 job in 1 run, 1 file" in dry.stderr
    assert "which you have to delete yourself: s3://client/out/ada/one/ (the whole folder)" in " ".join(
        dry.stderr.split()
    )
    kept = troupe("forget", "--store", delivered, "--identity", "ada", give="n\n")
    assert kept.exit_code == 1
    assert (Path(delivered) / "renders/key-one/full.mp4").exists()
    done = troupe("forget", "--store", delivered, "--identity", "ada", give="y\n")
    assert done.exit_code == 0, done.output
    assert not (Path(delivered) / "renders/key-one/full.mp4").exists()
    assert "forgotten" in (Path(delivered) / "runs/r1/report/index.html").read_text()
    assert troupe("forget", "--store", delivered).exit_code == 2
    assert "--portrait" in troupe("forget", "--store", delivered, "--identity", "bob", "--alike").stderr
    assert troupe("forget", "--store", delivered, "--portrait", "/nowhere.png").exit_code == 2


def test_a_person_whom_no_job_shows(delivered: str) -> None:
    mistyped = troupe("forget", "--store", delivered, "--identity", "adda", "--yes")
    assert mistyped.exit_code == 2
    assert "did you mean 'ada'?" in mistyped.stderr
    assert not (Path(delivered) / "tombstones").exists()
    assert troupe("forget", "--store", delivered, "--identity", "adda", "--yes", "--absent-ok").exit_code == 0
    assert (Path(delivered) / "renders/key-one/full.mp4").exists()
    assert troupe("forget", "--store", delivered, "--identity", " ADA", "--yes").exit_code == 0
    assert not (Path(delivered) / "renders/key-one/full.mp4").exists()

"""`troupe export`."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.flows.cli.conftest import troupe


@pytest.mark.parametrize(
    ("words", "files"),
    [
        (["latest"], {"ada/one.mp4", "bob/two.mp4"}),
        (["r1", "--name", "{job_id}_{language}.mp4"], {"one_en.mp4", "two_unknown.mp4"}),
        (["all", "--identity", "ada"], {"ada/one.mp4"}),
        (["all", "--tag", "scene"], {"ada/one.mp4"}),
        (["SELECT * FROM jobs WHERE seed = 7"], {"bob/two.mp4"}),
    ],
)
def test_export(delivered: str, tmp_path: Path, words: list[str], files: set[str]) -> None:
    what, *more = words
    result = troupe("export", what, str(tmp_path / "out"), "--store", delivered, *more)
    assert result.exit_code == 0, result.output
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mp4")}
    assert found == files
    assert set(pq.read_table(result.stdout.strip()).column("file").to_pylist()) == files


def test_invalid_exports(delivered: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    for words, message in (
        (["r9", out], "no finished videos of r9"),
        (["all", out, "--name", "../{job_id}"], "leads out"),
        (["SELECT identity FROM jobs", out], "must select the columns run_id and job_id"),
        (["SELECT nonsense", out], "the query failed"),
    ):
        result = troupe("export", *words, "--store", delivered)
        assert (result.exit_code, message in result.stderr) == (2, True), result.output
    (Path(delivered) / "renders/key-two/full.mp4").unlink()
    result = troupe("export", "all", out, "--store", delivered)
    assert result.exit_code == 3
    assert "missing: two" in result.stderr


def test_csv_for_excel(delivered: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert troupe("export", "all", str(out), "--store", delivered, "--excel").exit_code == 0
    assert (out / "manifest.csv").read_bytes().startswith(b"\xef\xbb\xbffile,")
    assert troupe("export", "all", str(out), "--store", delivered).exit_code == 0
    assert (out / "manifest.csv").read_bytes().startswith(b"file,")
    rows = tmp_path / "rows.csv"
    assert troupe("catalog", "export", str(rows), "--store", delivered, "--excel").exit_code == 0
    assert rows.read_bytes().startswith(b"\xef\xbb\xbf")

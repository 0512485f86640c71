"""What was chosen, converted or scaled is in the row, and in `catalog show` and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tasks import media
from tests.clips import make, wide_gamut_profile
from tests.flows.cli.conftest import troupe
from tests.flows.jobs import JOB, RunJobs, manifest_rows


def own_notes(row: Mapping[str, Any]) -> list[str]:
    """Return the notes of a row, without that about the lips, which the untrained model does not move."""
    return [note for note in (row["notes"] or "").split("; ") if note and not note.startswith("sync:")]


def test_notes_of_a_job(run_jobs: RunJobs, cast: Path, tmp_path: Path) -> None:
    portrait = Image.open(cast / "portraits" / "ruby.png")
    portrait.save(tmp_path / "phone.png", icc_profile=wide_gamut_profile())
    clip = make(
        tmp_path / "dubbed.mkv",
        *("-i", str(cast / "clips" / "hello.mp4"), "-f", "lavfi", "-i", "sine=d=0.4"),
        *("-map", "0:v", "-map", "0:a", "-map", "1:a", "-c:v", "copy", "-metadata:s:a:1", "language=eng"),
        *("-disposition:a:0", "0", "-disposition:a:1", "default"),
    )
    width, height = portrait.width // 2, portrait.height // 2
    job = {"portrait": str(tmp_path / "phone.png"), "driving": str(clip), "size": f"{width}x{height}"}
    summary = run_jobs(JOB | {"job_id": "plain"}, job | {"job_id": "noted"})
    assert summary.counts == {"done": 2}
    rows = manifest_rows(summary)
    assert own_notes(rows["plain"]) == []
    assert [(rows[job]["language"], rows[job]["size"]) for job in ("plain", "noted")] == [
        ("", "2160p"),
        ("en", f"{width}x{height}"),
    ]
    colours, size, tracks = own_notes(rows["noted"])
    assert "converted from" in colours
    assert tracks == "audio: track index:1 (eng) of 2 was used, not index:0"
    assert size == f"size: the video is {width}x{height}, the portrait {portrait.width}x{portrait.height} " + (
        f"({width}x{height} at most)"
    )
    info = media.probe(Path(rows["noted"]["full_uri"]))
    assert (info.width, info.height) == (width, height)
    assert "converted from" in Path(summary.report).read_text()
    again = run_jobs(job | {"job_id": "again"})
    assert manifest_rows(again)["again"]["notes"] == rows["noted"]["notes"]
    assert "audio: track" in troupe("catalog", "show", "noted", "--store", str(tmp_path / "store")).stdout

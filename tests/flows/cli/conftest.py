"""A store with a finished run, and the command line to query it with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from catalogs.requests.jobs_file import write_request
from catalogs.store.store import open_store
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import make_row
from flows.cli import app
from troupe import Job
from troupe.errors import NoFace

NOW = datetime(2026, 11, 22, 17, 5, tzinfo=UTC)


@pytest.fixture
def delivered(tmp_path: Path) -> str:
    """A run with two videos of two people, and a failure."""
    url = str(tmp_path / "store")
    place = open_store(url)
    jobs = [
        Job("one", "/p/ada.png", "/c/wave.mp4", identity="ada", language="en", tags={"scene": "1"}),
        Job("two", "/p/bob.png", "/c/wave.mp4", identity="bob", seed=7),
        Job("bad", "/p/x.png", "/c/wave.mp4"),
    ]
    write_request(place, "r1", jobs)
    with RowBuffer(place, "r1") as buffer:
        for job in jobs[:2]:
            key = f"key-{job.job_id}"
            place.put_bytes(job.job_id.encode(), f"renders/{key}/full.mp4")
            columns = {"render_key": key, "full_uri": place.uri(f"renders/{key}/full.mp4"), "quality_identity": 0.5}
            buffer.append(make_row("r1", job, "done", started_at=NOW, finished_at=NOW, frames=9, **columns))
        failed = make_row("r1", jobs[2], "failed", started_at=NOW, finished_at=NOW, error=NoFace("none"))
        buffer.append(failed)
    write_manifest(place, "r1")
    return url


def troupe(*words: str, give: str | None = None) -> Result:
    """Run a command; `give` is its standard input."""
    return CliRunner().invoke(app, list(words), input=give)

"""Rows of finished jobs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from catalogs.table.schema import make_row
from troupe import Job
from troupe.errors import NoFace

__all__ = ["DONE", "FAILED", "row"]

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def row(job: str, status: str = "done", **more: Any) -> dict[str, Any]:
    return make_row("r7", Job(job, "p.png", "c.mp4"), status, started_at=NOW, finished_at=NOW, **more)


DONE = row("a", frames=10, worker="node:7", stages={"denoise": 2.5, "put": 0.5})
FAILED = row("b", "failed", error=NoFace("nobody there"))

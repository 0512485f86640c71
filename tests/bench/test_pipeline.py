"""The pipeline's benchmark, in this process: several pictures at once, with a stand-in that takes no time."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.pipeline import _stand_ins, draw_inputs
from flows.observe.progress import Listeners
from flows.steps import execute
from models.miniature import SHIPPED_WEIGHTS
from tasks.run.request import Request


@pytest.mark.long
def test_pictures_at_once_have_their_own_frames_and_counts(tmp_path: Path) -> None:
    draw_inputs(tmp_path, 2, 5)
    request = Request(
        store=str(tmp_path / "store"),
        weights=str(SHIPPED_WEIGHTS),
        portraits=str(tmp_path / "portraits"),
        drivings=str(tmp_path / "drivings"),
        defaults={"preset": "draft"},
    )
    with _stand_ins(1e6, tmp_path / "calls", 2):
        summary = execute(request, Listeners(), ray=False)
    assert summary.counts == {"done": 2}
    rows = pq.read_table(summary.manifest).to_pylist()
    assert [(row["frames"], row["width"], row["attempts"]) for row in rows] == [(5, 512, 1)] * 2
    assert len({row["checksum"] for row in rows}) == 2
    assert summary.evaluations == 2 * 10 * 5
    assert len((tmp_path / "calls").read_text().splitlines()) == 2 * (10 + 1)

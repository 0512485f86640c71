"""catalogs.table.schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from catalogs.table.schema import QUALITIES, SCHEMA, STAGES, VERSION, conform, make_row, table_of
from tests.catalogs.conftest import NOON, row
from troupe import Job, SamplerSettings, __version__
from troupe.errors import NoFace


def test_a_full_row() -> None:
    job = Job(
        "j1", "/a.png", "/b.mp4", identity="Ana", start=1.0, end=2.5, tags={"k": "v"}, seed=2**63 - 1, consent="c"
    )
    full = make_row(
        "r1",
        job,
        "done",
        started_at=NOON.astimezone(timezone(timedelta(hours=2))),
        finished_at=NOON + timedelta(seconds=1),
        stages={stage: float(n) for n, stage in enumerate(STAGES)},
        settings=SamplerSettings(steps=10),
        face=np.array([1, 2, 3.5, 4], np.float32),
        gaps=[(3, 5)],
        width=np.int64(512),
        fps_numerator=30000,
        fps_denominator=1001,
        seconds=np.float32(0.5),
        quality_identity=0.75,
        quality_flicker=float("nan"),
    )
    assert list(full) == SCHEMA.names
    assert (full["run_id"], full["job_id"], full["status"], full["schema_version"]) == ("r1", "j1", "done", VERSION)
    assert (full["identity"], full["consent"], full["seed"]) == ("Ana", "c", 2**63 - 1)
    assert (full["start_seconds"], full["end_seconds"]) == (1.0, 2.5)
    assert full["started_at"] == NOON
    assert full["started_at"].utcoffset() == timedelta(0)
    assert full["face"] == {"x1": 1.0, "y1": 2.0, "x2": 3.5, "y2": 4.0}
    assert full["gaps"] == [{"first": 3, "stop": 5}]
    assert json.loads(full["settings"])["steps"] == 10
    assert (full["seconds_fetch"], full["seconds_queue"]) == (0.0, 10.0)
    assert (full["width"], full["seconds"], full["quality_identity"]) == (512, 0.5, 0.75)
    assert full["quality_flicker"] is None
    assert full["error_kind"] is None
    assert full["code_version"] == __version__
    table = table_of([full, row("r1", "j2")])
    assert table.schema == SCHEMA
    assert table.to_pylist()[0] == full
    assert table.column("quality_pose").to_pylist() == [None, None]


def test_a_row_has_no_credentials_and_no_text_that_is_not_unicode() -> None:
    secret = "https://h/a.png?X-Amz-Signature=c0ffee"
    job = Job("j", secret, secret, audio=secret, tracks=secret, consent=secret, tags={"from": secret})
    error = NoFace(f"403, url='{secret}' for a\udcff.png")
    full = make_row("r", job, "failed", started_at=NOON, finished_at=NOON, error=error)
    assert "c0ffee" not in str(full)
    spaced = Job("j", "https://h/a b.png?sig=c0ffee", "b.mp4")
    shown = make_row("r", spaced, "done", started_at=NOON, finished_at=NOON)["portrait"]
    assert shown == "https://h/a b.png?sig=***"
    assert full["portrait"] == "https://h/a.png?X-Amz-Signature=***"
    assert full["error"] == "403, url='https://h/a.png?X-Amz-Signature=***' for a\\udcff.png"
    assert table_of([full]).num_rows == 1


def test_errors() -> None:
    failed = row("r1", "j1", "failed", error=NoFace("no face found in /a.png; try another"))
    assert (failed["error_kind"], failed["error"]) == ("no_face", "no face found in /a.png; try another")
    assert row("r1", "j1", "failed", error=RuntimeError("x"))["error_kind"] == "internal"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"qualty_pose": 1.0}, "no column qualty_pose"),
        ({"stages": {"sleep": 1.0}}, "no column seconds_sleep"),
        ({"frames": "many"}, "column frames is int64, not 'many'"),
        ({"frames": 1.5}, "column frames is int64"),
        ({"frames": 2**63}, "column frames is int64"),
        ({"worker": 7}, "column worker is string"),
        ({"face": (1, 2, 3)}, "shorter|argument"),
        ({"recorded_at": datetime(2026, 1, 1)}, "recorded_at has no time zone"),
    ],
)
def test_invalid_columns_are_rejected(columns: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        row("r1", "j1", **columns)


def test_an_unknown_status_is_refused() -> None:
    with pytest.raises(ValueError, match="status is 'finished'"):
        row("r1", "j1", "finished")


def test_conform() -> None:
    """An old table lacks columns, a newer one has more."""
    table = table_of([row("r1", "j1")])
    old = table.drop_columns(["quality_pose", "tags"])
    assert conform(old).schema == SCHEMA
    assert conform(old).column("quality_pose").to_pylist() == [None]
    newer = table.append_column("mood", pa.array(["calm"])).select(["mood", *reversed(SCHEMA.names)])
    assert conform(newer).column_names == [*SCHEMA.names, "mood"]
    assert conform(newer).select(SCHEMA.names).equals(table)


def test_the_schema_only_grows() -> None:
    """Tables out there have these columns with these types; a change here needs a new column instead."""
    assert VERSION == 6
    assert all(field.nullable for field in SCHEMA)
    assert [f"seconds_{stage}" in SCHEMA.names for stage in STAGES] == [True] * 11
    assert [f"quality_{name}" in SCHEMA.names for name in QUALITIES] == [True] * 5
    assert SCHEMA.field("tags").type == pa.map_(pa.string(), pa.string())
    assert SCHEMA.field("recorded_at").type == pa.timestamp("us", "UTC")
    assert {str(field.type) for field in SCHEMA} == {
        "string",
        "bool",
        "int64",
        "double",
        "timestamp[us, tz=UTC]",
        "map<string, string>",
        "struct<x1: double, y1: double, x2: double, y2: double>",
        "list<item: struct<first: int64, stop: int64>>",
        "list<item: int64>",
    }
    assert datetime.now(UTC).tzinfo is UTC

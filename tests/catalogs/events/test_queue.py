"""The queue of events on stores in a folder and on S3."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable

from catalogs.events import Event, Queue
from catalogs.events.queue import Cursor
from catalogs.review.decisions import Decision, Decisions
from catalogs.store.store import Store
from catalogs.table.audit import append_audit
from catalogs.table.compaction import compact
from catalogs.table.exports import record_export
from tests.catalogs.conftest import NOON, record, row
from troupe.errors import NoFace


def taken(queue: Queue, cursor: Cursor | None = None) -> tuple[list[Event], Cursor]:
    """Return everything after a cursor, and the cursor after it."""
    cursor, events = cursor or Cursor(), list[Event]()
    for batch in queue.after(cursor):
        events += batch.events
        cursor = cursor.after(batch)
    return events, cursor


def test_what_happens_is_in_the_queue_once(shared_store: Store) -> None:
    queue = Queue(shared_store)
    assert taken(queue)[0] == []
    record(shared_store, "r1", [row("r1", "a", identity="Ana", tags=[("scene", "1")], quality_identity=0.5, frames=3)])
    record(shared_store, "r1", [row("r1", "b", "failed", error=NoFace("no face in http://me:pw@host/x.png"))])
    append_audit(shared_store, "run", {"run_id": "r1", "counts": {"done": 1, "failed": 1}, "manifest_sha256": "0"})
    append_audit(shared_store, "policy", {"label": "none"})
    Decisions(shared_store).add(Decision("Eve", "film", "f1", "rejected", reason="mouth", run_id="r1", job_id="a"))
    record_export(shared_store, "s3://client/videos", [{"file": "a.mp4", "run_id": "r1", "job_id": "a"}])
    events, cursor = taken(queue)
    assert [event.type for event in events] == [
        *("job.done", "job.failed", "decision.rejected", "run.completed", "export.completed")
    ]
    done, failed, decision, run, export = (event.data for event in events)
    assert (done["identity"], done["tags"], done["measures"]) == ("Ana", {"scene": "1"}, {"quality_identity": 0.5})
    assert "portrait_sha256" not in done
    assert (failed["error_kind"], failed["error"]) == ("no_face", "no face in http://***@host/x.png")
    assert (decision["reviewer"], decision["reason"], decision["job_id"]) == ("Eve", "mouth", "a")
    assert run["manifest"] == shared_store.uri("runs/r1/manifest.parquet")
    assert (export["target"], export["files"]) == ("s3://client/videos", 1)
    assert len({event.id for event in events}) == 5
    assert taken(queue, cursor)[0] == []
    assert queue.head().rows == cursor.rows
    assert taken(queue)[0] == events, "ids are the same each time"


def test_a_resumed_run_tells_a_job_again(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a", "failed", error=NoFace("no"))])
    record(folder_store, "r1", [row("r1", "a")])
    append_audit(folder_store, "run", {"run_id": "r1", "state": "failed", "error_kind": "no_space"})
    events, _ = taken(Queue(folder_store))
    assert [event.type for event in events] == ["job.failed", "job.done", "run.failed"]
    assert events[2].data["error_kind"] == "no_space"
    assert "manifest" not in events[2].data
    assert len({event.id for event in events}) == 3


def test_compaction_adds_no_events_and_its_clean_up_loses_none(folder_store: Store) -> None:
    queue = Queue(folder_store)
    for number in range(3):
        record(folder_store, f"r{number}", [row(f"r{number}", "a")])
    events, _ = taken(queue)
    middle = next(iter(queue.after(Cursor())))  # the first commit creates the table
    cursor = Cursor().after(middle)
    cursor = cursor.after(next(iter(queue.after(cursor))))
    assert [event.data["run_id"] for event in taken(queue, cursor)[0]] == ["r1", "r2"]
    compact(folder_store)
    assert len(taken(queue)[0]) == 3
    uri, _options = folder_store.delta() or ("", {})
    DeltaTable(uri).vacuum(0, dry_run=False, enforce_retention_duration=False)
    after, moved = taken(queue, cursor)
    assert {event.id for event in events[1:]} <= {event.id for event in after} <= {event.id for event in events}
    assert moved.rows == queue.head().rows
    assert taken(queue, moved)[0] == []
    for file in Path(uri, "_delta_log").glob("0*[0-3].json"):  # old commits, as a clean-up of the log deletes them
        file.unlink()
    assert {event.id for event in taken(queue)[0]} == {event.id for event in events}
    assert taken(queue, moved)[0] == []


def test_rows_after_a_gap_include_those_that_waited_long_before_their_commit(folder_store: Store) -> None:
    from dataclasses import replace

    from catalogs.table.runs import RunInfo, write_run

    record(folder_store, "early", [row("early", "a")])
    _, cursor = taken(Queue(folder_store))
    record(folder_store, "late", [row("late", "a")])
    compact(folder_store)
    uri, _options = folder_store.delta() or ("", {})
    DeltaTable(uri).vacuum(0, dry_run=False, enforce_retention_duration=False)
    # The cursor is a day after the row was recorded; its run was live then.
    later = cursor.at + timedelta(days=1)
    write_run(folder_store, RunInfo("late", "completed", NOON, later))
    events, _ = taken(Queue(folder_store), replace(cursor, at=later))
    assert [event.data["run_id"] for event in events] == ["late"]


def test_of_forgotten_people_only_that_they_are(folder_store: Store) -> None:
    from catalogs.retention.forget import forget

    record(folder_store, "r1", [row("r1", "a", identity="Ana", portrait_sha256="1"), row("r1", "b", identity="Bo")])
    forget(folder_store, "Ana")
    events, _ = taken(Queue(folder_store))
    assert [(event.type, event.data.get("job_id")) for event in events] == [("job.done", "b"), ("job.forgotten", "a")]
    assert "Ana" not in events[1].payload().decode()


def test_files_of_earlier_versions_lack_columns(folder_store: Store) -> None:
    record(folder_store, "r1", [row("r1", "a")])
    [key] = [key for key in folder_store.list("catalog") if key.endswith(".parquet")]
    table = pq.read_table(io.BytesIO(folder_store.read(key))).drop_columns(["picture_key", "watermark"])
    sink = io.BytesIO()
    pq.write_table(table, sink)
    folder_store.replace(sink.getvalue(), key)
    assert [event.type for event in taken(Queue(folder_store))[0]] == ["job.done"]

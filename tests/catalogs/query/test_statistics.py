"""Statistics of the catalog."""

from __future__ import annotations

from typing import Any

import pytest

from catalogs.query.statistics import costs, statistics, table_state
from catalogs.store.store import Store
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import record_resumed_run, row
from troupe.errors import SettingsError


def test_statistics(store: Store) -> None:
    empty = statistics(store)
    assert (empty["jobs"], empty["by_error"], empty["first_finished"]) == (0, None, None)
    found = statistics(record_resumed_run(store))
    assert (found["jobs"], found["runs"], found["videos"], found["frames_rendered"]) == (3, 2, 2, 30)
    assert (found["video_bytes"], found["seconds_denoise"], found["median_identity"]) == (10, 2.0, 0.5)
    assert (found["by_status"], found["by_error"]) == ({"done": 2, "failed": 1}, {"no_face": 1})
    assert statistics(store, run="r2")["jobs"] == 1
    state = table_state(store)
    assert (state.files if state else None) == (3 if store.delta() else None)


def test_the_median_offset_is_that_of_films_whose_offset_is_clear(folder_store: Store) -> None:
    with RowBuffer(folder_store, "r1") as buffer:
        for number, (offset, confidence) in enumerate([(1, 0.8), (-1, 0.6), (14, 0.3), (-15, 0.2), (13, 0.49)]):
            sync = {"sync_offset_frames": offset, "sync_confidence": confidence}
            buffer.append({**row("r1", str(number)), **sync})
    assert statistics(folder_store)["median_sync_offset_frames"] == 1


def test_identities_are_labels_and_portraits_without_one(folder_store: Store) -> None:
    with RowBuffer(folder_store, "r1") as buffer:
        for number, (label, portrait) in enumerate(
            [("Zo\u00eb", "a"), ("ZOE\u0308", "b"), ("", "c"), ("", "c"), ("", "d")]
        ):
            buffer.append({**row("r1", str(number), identity=label), "portrait_sha256": portrait})
        for number, uri in enumerate(("http://a/x.mp4", "http://b/x.mp4")):  # one clip, and portraits that are missing
            missing = {"driving": uri, "driving_sha256": "clip"}
            buffer.append({**row("r1", f"missing {number}", "failed"), **missing})
            buffer.append({**row("r1", f"gone {number}", "failed"), "driving": f"http://c/{number}"})
    found = statistics(folder_store)
    assert (found["identities"], found["driving_clips"]) == (3, 2), "also that of the jobs that are done"


def test_costs_by_tag_and_identity(folder_store: Store) -> None:
    """Work done twice counts twice, a nightly repeat's video once."""
    hour: dict[str, Any] = {
        "stages": {"denoise": 3000.0, "put": 600.0, "queue": 9999.0},
        "render_key": "k1",
        "seconds": 2.0,
    }
    with RowBuffer(folder_store, "r1") as buffer:
        buffer.append({**row("r1", "a", "failed", stages={"denoise": 3600.0}), "tags": [("customer", "o'neil")]})
        buffer.append({**row("r1", "a", identity="Zo\u00eb", **hour), "tags": [("customer", "o'neil")]})
        buffer.append({**row("r1", "b", identity="ZOE\u0308", **hour | {"render_key": "k2"})})
    with RowBuffer(folder_store, "r2") as buffer:
        again: dict[str, Any] = {"render_key": "k1", "seconds": 2.0}
        buffer.append({**row("r2", "a", "reused", identity="zo\u00eb", **again), "tags": [("customer", "o'neil")]})
    by_tag = {group["group"]: group for group in costs(folder_store, "tags.customer")}
    assert by_tag["o'neil"] == {
        "group": "o'neil",
        "jobs": 2,
        "videos": 1,
        "video_seconds": 2.0,
        "worker_hours": pytest.approx(2.0),
    }
    assert by_tag[None]["worker_hours"] == pytest.approx(1.0)
    by_identity = {group["group"]: group for group in costs(folder_store, "identity")}
    assert (by_identity["ZOE\u0308"]["jobs"], by_identity["ZOE\u0308"]["videos"]) == (3, 2)
    (everything,) = costs(folder_store)
    assert (everything["jobs"], everything["worker_hours"]) == (3, pytest.approx(3.0))
    assert costs(folder_store, "tags.customer", identity="nobody") == []
    for wrong in ("tag", "seconds", "1; DROP"):
        with pytest.raises(SettingsError, match="cannot group by"):
            costs(folder_store, wrong)

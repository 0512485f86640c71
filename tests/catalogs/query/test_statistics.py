"""Statistics of the catalog."""

from __future__ import annotations

from catalogs.query.statistics import statistics, table_state
from catalogs.store.store import Store
from tests.catalogs.conftest import record_resumed_run


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

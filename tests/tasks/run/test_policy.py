"""tasks.run.policy: what a run keeps to is read once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from catalogs.query.jobs import list_jobs
from catalogs.retention.store_policy import change_policy
from catalogs.store.policy import POLICY_FILE
from catalogs.store.store import Store, open_store
from flows.observe.progress import Listeners
from models.miniature import SHIPPED_WEIGHTS
from tasks.run.request import Request
from tasks.run.requests.check_request import check_request
from tasks.run.run import Run


def test_the_policy_of_the_store_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path / "store"))
    change_policy(store, {"watermark": True, "allow_input": [str(tmp_path)]})
    (tmp_path / "jobs.csv").write_text("portrait,driving,watermark\np.png,c.mp4,off\n")
    reads: list[str] = []
    read = Store.read

    def noting(self: Store, key: str) -> bytes:
        reads.append(key)
        return read(self, key)

    monkeypatch.setattr(Store, "read", noting)
    request = Request(store.url, str(SHIPPED_WEIGHTS), jobs=str(tmp_path / "jobs.csv"))
    check_request(request)
    with Run(request, Listeners(), threading.Event(), ray=False) as run:
        run.plan()
    assert reads.count(POLICY_FILE) == 1
    (row,) = list_jobs(store).to_pylist()
    assert "the policy of the store requires it" in row["error"]

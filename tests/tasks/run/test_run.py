"""A run, from where workers are started to where they write."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from flows.observe.progress import Listeners
from models.miniature import SHIPPED_WEIGHTS
from tasks.run.request import Request
from tasks.run.run import Run


def test_workers_in_other_folders_use_the_same_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Ray cluster, a worker's folder is the one in which `ray start` was called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.csv").write_text("portrait,driving\np.png,c.mp4\n")
    request = Request("store", str(SHIPPED_WEIGHTS), jobs="jobs.csv")
    with Run(request, Listeners(), threading.Event(), ray=False) as run:
        assert {role.args[0].store for role in run._roles()} == {str(tmp_path / "store")}

"""What a store remembers of its runs beside their rows: what was asked, by whom, how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from catalogs.store.keys import run_key
from catalogs.store.store import Store
from troupe.errors import SettingsError, StoreError

__all__ = ["BEAT", "RunInfo", "list_runs", "read_run", "write_run"]

BEAT = 20.0
"""Seconds between two signs of life of a run."""
_SILENCE = timedelta(seconds=6 * BEAT)
"""A run that says nothing for so long is lost. A clock of another machine may be off by some of it."""
_NAME = "run.json"
_THREADS = 16


@dataclass(frozen=True)
class RunInfo:
    """A run, as it was when it last told of itself.

    Attributes:
        state: `running`; `done`; `failed`: it is over, and some jobs failed; `stopped`: before all jobs were done;
            `broken`: it ended with an error; `lost`: it was running, and nothing was heard of it since.
        started_at, updated_at: UTC; the latter when it last told of itself.
        jobs: in the request.
        counts: jobs by status, as far as they have ended.
        where: host and process.
        request: the parameters it was started with.
        note: how it ended, in a line.
    """

    run_id: str
    state: str
    started_at: datetime
    updated_at: datetime
    jobs: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    where: str = ""
    request: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def live(self) -> bool:
        """Whether it is still running, as far as is known."""
        return self.state == "running"


def write_run(store: Store, info: RunInfo) -> None:
    """Tell of a run.

    Raises:
        SettingsError: the run_id cannot be used.
        StoreError: it cannot be written.
    """
    text = json.dumps(asdict(info), default=_plain, indent=1)
    store.replace(text.encode(), run_key(info.run_id, _NAME))


def read_run(store: Store, run_id: str) -> RunInfo:
    """A run of the store.

    Raises:
        SettingsError: there is no such run.
        StoreError: it cannot be read.
    """
    key = run_key(run_id, _NAME)
    if not store.exists(key):
        raise SettingsError(f"{store.url} has no run {run_id}; `troupe runs --store {store.url}` lists those it has")
    return _heard(_parsed(store, key))


def list_runs(store: Store, limit: int | None = None) -> list[RunInfo]:
    """The runs of the store, the latest first.

    Raises:
        StoreError: they cannot be read.
    """
    keys = [key for key in store.list("runs") if key.count("/") == 2 and key.endswith(f"/{_NAME}")]
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="runs") as pool:
        found = sorted(pool.map(lambda key: _heard(_parsed(store, key)), keys), key=lambda run: run.started_at)
    return found[::-1][:limit]


def _parsed(store: Store, key: str) -> RunInfo:
    try:
        values = json.loads(store.read(key))
        times = {name: datetime.fromisoformat(values[name]) for name in ("started_at", "updated_at")}
        known = {name: value for name, value in values.items() if name in RunInfo.__dataclass_fields__}
        return RunInfo(**known | times)
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {error}; remove it") from error


def _heard(run: RunInfo) -> RunInfo:
    lost = run.live and datetime.now(UTC) - run.updated_at > _SILENCE
    return replace(run, state="lost") if lost else run


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not written to a run's record")

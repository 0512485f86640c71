"""What an export has written, which is recorded however the export ends."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from catalogs.export.manifest import ManifestRows
from catalogs.export.target import put_file
from catalogs.store.store import Store
from troupe.errors import Cancelled, SettingsError, StoreError, TroupeError
from troupe.process.signals import stoppable

__all__ = ["Written", "each_recorded", "in_threads"]

T = TypeVar("T")
V = TypeVar("V")

_THREADS = 8


class Written:
    """Rows of the films that an export has written. Thread-safe.

    Attributes:
        whole: rows of those that are there with all their files.
        begun: rows of those of which there are files, because the export was stopped or failed.
    """

    def __init__(self) -> None:
        self.whole: ManifestRows = {}
        self.begun: ManifestRows = {}

    def put(self, rows: ManifestRows, target: Store, files: Mapping[str, tuple[Path, str]]) -> dict[str, bool]:
        """Put the files of these rows in this order; return which were created.

        Args:
            files: local file and its SHA-256, by key in the target.

        Raises:
            SettingsError: another file has one of the names.
            StoreError: the target cannot be written.
        """
        created: dict[str, bool] = {}
        self.begun.update(rows)  # before, because a put that fails may have written
        for place, local in files.items():
            try:
                created[place] = put_file(target, local, place)
            except TroupeError as error:
                if not created and (isinstance(error, SettingsError) or not _may_exist(target, place)):
                    for key in rows:  # what is there is not ours
                        self.begun.pop(key, None)
                raise
        self.whole.update(rows)
        for key in rows:
            self.begun.pop(key, None)
        return created


def in_threads(function: Callable[[V], T], values: Iterable[V]) -> Iterator[T]:
    """Yield the function's result for each value, in order, computed in parallel."""
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="deliver") as threads:
        yield from threads.map(function, values)


def each_recorded(
    function: Callable[[V], T], values: Iterable[V], on_done: Callable[[T], None], record: Callable[[], str]
) -> str:
    """Call the function for each value in parallel, then `record`, also where a call fails or the export is stopped.

    Args:
        on_done: called with each result, in order.
        record: records what was written; returns the URI of the manifest.

    Raises:
        Exception: the first that the function raised; what was in progress then is finished and recorded.
        Cancelled: SIGINT, SIGTERM or SIGHUP was received; what was in progress then is finished and recorded, too.
    """
    with stoppable() as stop:

        def call(value: V) -> T:
            if stop.is_set():
                raise Cancelled("the export was stopped; what it wrote is recorded, and the same export continues it")
            return function(value)

        try:
            for result in in_threads(call, values):
                on_done(result)
        except BaseException:
            with suppress(TroupeError):  # the first error says why
                record()
            raise
        return record()


def _may_exist(target: Store, file: str) -> bool:
    try:
        return target.exists(file)
    except StoreError:
        return True

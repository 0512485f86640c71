"""Check the tables of rows and of decisions.

Rows are compared with the runs' manifests; each can be written again from the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.review.log import DECISIONS_FOLDER, open_log
from catalogs.store.error_text import reason
from catalogs.store.store import Store
from catalogs.table.manifest import read_manifest, write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.schema import conform
from catalogs.table.snapshot import latest_rows, open_table, snapshot
from troupe.errors import StoreError

__all__ = ["check_decisions", "check_rows"]

Finding = tuple[str, bool, str]
"""What is wrong, whether it was repaired, and what is left to do."""


def check_rows(store: Store, runs: Iterable[str], *, deep: bool, repair: bool) -> Iterator[Finding]:
    """Yield what is wrong with the table's files and with the manifests of these runs.

    Args:
        deep: whether to read all rows; otherwise only the existence of the files is checked.
        repair: whether to drop unreadable files of the table, add the rows of manifests that the table lacks or has
            with other values, and write unreadable manifests again.

    Raises:
        StoreError: the store cannot be written.
    """
    try:
        unreadable = list(_table_files(store, "catalog", deep, repair))
    except StoreError as error:
        yield (
            error.message,
            False,
            f"move the folder catalog away and run {store.command('store check --deep --repair')}: "
            "the rows are in the manifests",
        )
        return
    yield from unreadable
    if not deep or (unreadable and not repair):
        return
    for run_id in runs:
        try:
            yield from _run(store, run_id, repair)
        except StoreError as error:
            yield error.message, False, f"run {store.command('store check --deep --repair')}"


def check_decisions(store: Store, *, deep: bool, repair: bool) -> Iterator[Finding]:
    """Yield what is wrong with the files of what was decided.

    Args:
        deep: whether to read all of them; otherwise only their existence is checked.
        repair: whether to drop those that cannot be read, so that the others can be; they are nowhere else.

    Raises:
        StoreError: the store cannot be written.
    """
    try:
        if store.delta(DECISIONS_FOLDER) is not None:
            yield from _table_files(store, DECISIONS_FOLDER, deep, repair)
        elif deep:
            open_log(store).read_new()
    except StoreError as error:
        yield error.message, False, "decide again; decisions are nowhere else"


def _table_files(store: Store, folder: str, deep: bool, repair: bool) -> Iterator[Finding]:
    """Check every file of a Delta table; drop those that cannot be read."""
    if store.delta(folder) is None or (table := open_table(store, key=folder)) is None:
        return
    root = str(store.uri(folder))
    dropped = False
    for uri in table.file_uris():
        key = f"{folder}/{uri.removeprefix('file://').rpartition(f'/{folder}/')[2]}"
        problem = "" if store.exists(key) else "missing"
        if deep and not problem:
            try:
                pq.read_table(pa.BufferReader(store.read(key)))
            except (pa.ArrowException, OSError) as error:
                problem = f"damaged: {reason(error)}"
        if problem:
            if repair:
                store.delete(key)
                dropped = True
            yield f"{root}: {key} is {problem}", repair, "" if repair else "use --repair"
    if dropped:
        table.repair()


def _run(store: Store, run_id: str, repair: bool) -> Iterator[Finding]:
    """Compare a run's rows in the table with its manifest."""
    key = f"runs/{run_id}/manifest.parquet"
    rows = {row["job_id"]: row for row in latest_rows(conform(snapshot(store, run_id).read())).to_pylist()}
    if not store.exists(key):
        if rows and store.exists(f"runs/{run_id}/report/index.html"):
            if repair:
                write_manifest(store, run_id)
            yield f"{store.uri(key)} is missing", repair, "" if repair else "use --repair"
        return
    try:
        manifest = {row["job_id"]: row for row in conform(read_manifest(store, run_id)).to_pylist()}
    except StoreError as error:
        if repair and rows:
            write_manifest(store, run_id)
        fixed = repair and bool(rows)
        yield error.message, fixed, "" if fixed else "use --repair" if rows else "run its jobs again"
        return
    lost = [row for job_id, row in manifest.items() if job_id not in rows or _damaged(rows[job_id], row)]
    if lost:
        if repair and store.delta() is not None:
            with RowBuffer(store, run_id) as buffer:
                for row in lost:
                    buffer.append(row)
        fixed = repair and store.delta() is not None
        yield (
            f"{store.uri('catalog')}: {len(lost)} rows of run {run_id} are missing or not those of its manifest",
            fixed,
            "" if fixed else "use --repair",
        )
    if (lost and repair) or any(job_id not in manifest or manifest[job_id] != row for job_id, row in rows.items()):
        if repair:
            write_manifest(store, run_id)
        if not lost:
            yield f"{store.uri(key)} lacks rows of the catalog", repair, "" if repair else "use --repair"


def _damaged(row: dict[str, Any], manifest: dict[str, Any]) -> bool:
    """Return whether a row of the table differs from the manifest's although it is not newer."""
    times = (row["recorded_at"], manifest["recorded_at"])
    return row != manifest and None not in times and times[0] <= times[1]

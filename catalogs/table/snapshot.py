"""Reading committed rows back, from the Delta table or, where there is none, from the runs' own files."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from numpy.typing import NDArray

from catalogs.store.error_text import DISK_FULL, reason
from catalogs.store.keys import valid_id
from catalogs.store.retry import retry_call
from catalogs.store.store import Store
from catalogs.table.arrow_fs import native_filesystem
from catalogs.table.schema import SCHEMA, conform
from troupe.errors import SettingsError, StoreError

__all__ = ["Moment", "Snapshot", "latest", "open_table", "snapshot"]

Moment: TypeAlias = int | datetime
"""A state of the past: a version of the Delta table, or a time."""

_FIRST_FILES = 8
"""Files read at once by who wants the newest rows; doubled from step to step."""
_LARGE = 2**16
"""Rows of a file."""
_HOLE, _TOGETHER = 2**18, 2**25
"""Bytes between columns that are read in one request with them, and bytes of a request."""


@dataclass(frozen=True)
class Snapshot:
    """Committed rows as they were at one moment, in no order; several of a job where a run was resumed.

    Attributes:
        url: of the store.
        data: the rows.
        newest: by file, the time of its last record, microseconds since 1970, where its statistics tell.
        large: files of so many rows that it pays to read parts of them.
    """

    url: str
    data: ds.Dataset
    newest: Mapping[str, int] = field(default_factory=dict)
    large: frozenset[str] = frozenset()

    def read(self, where: pc.Expression | None = None, columns: list[str] | None = None) -> pa.Table:
        """The rows that fulfil `where`, which is pushed down to the files' statistics, and their `columns`.

        Raises:
            SettingsError: there is no such column.
            StoreError: they cannot be read.
        """
        unknown = set(columns or ()) - set(self.data.schema.names)
        if unknown:
            raise SettingsError(f"the catalog of {self.url} has no column {', '.join(sorted(unknown))}")
        try:
            # Small batches and few ahead: no slower, and a third of the memory.
            return retry_call(
                lambda: self.data.to_table(filter=where, columns=columns, batch_size=2**15, batch_readahead=2)
            )
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read the catalog of {self.url}: {reason(error)}; run again") from error

    def save(self, path: Path, rows_at_once: int) -> None:
        """Write the rows, in their order, to an Arrow file of record batches: they may be more than fits into memory.

        Args:
            path: of the file; overwritten.
            rows_at_once: of a batch, and so in memory.

        Raises:
            StoreError: they cannot be read.
            OSError: they cannot be written.
        """

        def write() -> None:
            with pa.ipc.new_file(str(path), self.data.schema) as file:
                for part in _gathered(
                    self.data.to_batches(batch_size=rows_at_once, batch_readahead=2, cache_metadata=False), rows_at_once
                ):
                    file.write_table(part.combine_chunks())

        try:
            retry_call(write)
        except (DeltaError, OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise  # It is where we write that is full.
            raise StoreError(f"cannot read the catalog of {self.url}: {reason(error)}; run again") from error

    def backwards(self) -> Iterator[tuple[Snapshot, int | None]]:
        """The rows in parts of growing size, the newest first; with each, when the last of the rest was recorded.

        (None after the last part.) Where the files' statistics do not tell, all is one part.
        """
        if not self.newest:
            yield self, None
            return
        assert isinstance(self.data, ds.FileSystemDataset)
        parts = sorted(self._parts(), key=lambda entry: -entry[0])
        size = _FIRST_FILES
        while parts:
            taken, parts = parts[:size], parts[size:]
            data = ds.FileSystemDataset(
                [fragment for _, fragment in taken], self.data.schema, self.data.format, self.data.filesystem
            )
            yield Snapshot(self.url, data), parts[0][0] if parts else None
            size *= 2

    def _parts(self) -> Iterator[tuple[int, Any]]:
        """Files, the row groups of large ones, and when the last row of each was recorded at the latest."""
        unknown = np.iinfo(np.int64).max
        fragments: Any = self.data.get_fragments()
        for fragment in fragments:
            name = _name(fragment.path)
            if name not in self.large:
                yield self.newest.get(name, unknown), fragment
                continue
            for part in retry_call(fragment.split_by_row_group):
                times = (part.row_groups[0].statistics or {}).get("recorded_at", {})
                yield _microseconds(times["max"]) if "max" in times else unknown, part


def snapshot(store: Store, run_id: str | None = None, as_of: Moment | None = None) -> Snapshot:
    """The rows of a run, or of all runs, as they are now. Columns: the schema's, then what a newer version added.

    Args:
        run_id: only this run's.
        as_of: as they were then.

    Raises:
        SettingsError: there is no such version, or the time has no zone.
        StoreError: they cannot be read.
    """
    if isinstance(as_of, datetime) and as_of.tzinfo is None:
        raise SettingsError(f"{as_of.isoformat()} has no time zone; add one, such as +00:00")
    place = store.delta()
    if place is None:
        if isinstance(as_of, int):
            raise SettingsError(f"{store.url} holds no Delta table and so no versions; name a time")
        rows = _of_runs(store, run_id)
        return Snapshot(store.url, ds.dataset(rows if as_of is None else rows.filter(_by(as_of))))
    table = open_table(store, as_of)
    if table is None:
        return Snapshot(store.url, ds.dataset(SCHEMA.empty_table()))
    files = pa.table(table.get_add_actions(flatten=True))
    data = table.to_pyarrow_dataset(schema=_grown(table), filesystem=native_filesystem(*place))
    data = _in_few_requests(data, files)
    if run_id is not None:
        data = data.filter(pc.field("run_id") == run_id)
    if isinstance(as_of, datetime):
        data = data.filter(_by(as_of))  # some stores know the time of a commit to the second only
    if run_id is not None or isinstance(as_of, datetime):
        return Snapshot(store.url, data)
    return Snapshot(store.url, data, *_newest(files))


def open_table(store: Store, as_of: Moment | None = None) -> DeltaTable | None:
    """The store's Delta table as it is now, or was then; None if nothing was ever committed.

    Raises:
        SettingsError: there is no such version.
        StoreError: it cannot be read, or the store has no Delta table.
    """
    place = store.delta()
    if place is None:
        raise StoreError(f"{store.url} cannot hold a Delta table; use a local folder, S3, GCS or Azure")
    uri, options = place
    try:
        # `DeltaTable.is_deltatable` would be the question, but keeps the interpreter locked until it is answered.
        table = retry_call(lambda: DeltaTable(uri, storage_options=options))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError) as error:
        raise StoreError(f"cannot read the catalog of {store.url}: {reason(error)}; check the store") from error
    if as_of is not None:
        try:
            retry_call(lambda: table.load_as_version(as_of))
        except (DeltaError, OSError, ValueError) as error:
            raise SettingsError(
                f"the catalog of {store.url} has no state {as_of}: {reason(error)}; it is at version {table.version()}"
            ) from error
    return table


def latest(rows: pa.Table) -> pa.Table:
    """Of each job and run the row that counts: the last one recorded, but a `done` rather than a `reused`.

    (A run that was resumed finds again what it had made itself; that it made it is what remains true.)

    Args:
        rows: with run_id, job_id, status and recorded_at at least.
    """
    jobs = _codes(rows, "run_id") * (len(rows) + 1) + _codes(rows, "job_id")
    if len(np.unique(jobs)) == len(jobs):
        return rows
    status = rows.column("status").to_numpy()
    found_again = (status == "reused") & np.isin(jobs, jobs[status == "done"])
    times = rows.column("recorded_at").cast(pa.int64()).to_numpy()
    order = np.lexsort((times, ~found_again, jobs))
    last = np.flatnonzero(np.diff(jobs[order], append=-1))
    return rows.take(np.sort(order[last]))


def _gathered(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Small batches put together until they have so many rows at least."""
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(len(part) for part in gathered) >= rows:
            yield pa.Table.from_batches(gathered)
            gathered.clear()
    if gathered:
        yield pa.Table.from_batches(gathered)


def _codes(rows: pa.Table, column: str) -> NDArray[np.int64]:
    """Equal numbers for equal texts."""
    codes: Any = rows.column(column).combine_chunks().dictionary_encode()
    return np.asarray(codes.indices.fill_null(-1)).astype(np.int64) + 1


def _grown(table: DeltaTable) -> pa.Schema:
    """The schema, and what a newer version added to the table; what the table lacks reads as null."""
    grown = SCHEMA
    there: Any = table.schema().to_arrow()
    for column in pa.schema(there):
        if column.name not in SCHEMA.names:
            grown = grown.append(column)
    return grown


def _in_few_requests(data: ds.Dataset, files: pa.Table) -> ds.FileSystemDataset:
    """The same for stores where every request takes its time: two a file, for its footer and for what is wanted of it.

    Nobody has to ask for a size, which the table knows, and columns are read with what little lies between them.
    """
    assert isinstance(data, ds.FileSystemDataset)
    sizes = dict(zip(files.column("path").to_pylist(), files.column("size_bytes").to_pylist(), strict=True))
    together = pa.CacheOptions(hole_size_limit=_HOLE, range_size_limit=_TOGETHER, lazy=True)
    format = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(cache_options=together))
    known: Any = data.get_fragments()
    fragments = [
        format.make_fragment(f.path, data.filesystem, f.partition_expression, file_size=sizes.get(f.path))
        for f in known
    ]
    return ds.FileSystemDataset(fragments, data.schema, format, data.filesystem)


def _newest(files: pa.Table) -> tuple[dict[str, int], frozenset[str]]:
    """As `Snapshot.newest` and `Snapshot.large` have it."""
    if "max.recorded_at" not in files.column_names:
        return {}, frozenset()
    names = [_name(str(path)) for path in files.column("path").to_pylist()]
    times = files.column("max.recorded_at").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    rows = files.column("num_records").to_pylist()
    # Delta Lake cuts times to milliseconds.
    newest = {name: time + 999 for name, time in zip(names, times, strict=True) if time is not None}
    return newest, frozenset(name for name, count in zip(names, rows, strict=True) if (count or 0) > _LARGE)


def _by(time: datetime) -> pc.Expression:
    return pc.field("recorded_at") <= pa.scalar(time, pa.timestamp("us", "UTC"))


def _microseconds(time: datetime) -> int:
    return int(pa.scalar(time, pa.timestamp("us", "UTC")).cast(pa.int64()).as_py() or 0)


def _name(path: str) -> str:
    """deltalake names its files by random numbers, so that the last part of a path is enough."""
    return path.rpartition("/")[2]


def _of_runs(store: Store, run_id: str | None) -> pa.Table:
    if run_id is not None and not valid_id(run_id):
        return SCHEMA.empty_table()
    keys = store.list("runs" if run_id is None else f"runs/{run_id}")
    tables = [SCHEMA.empty_table()]
    for _, files in groupby(keys, key=lambda key: key.split("/")[1]):
        names = list(files)
        # The parts are all there is; the manifest is made of them, and may be older.
        parts = [key for key in names if key.split("/")[2] == "parts" and key.endswith(".parquet")]
        parts = parts or [key for key in names if key.endswith("/manifest.parquet")]
        tables += [conform(_parquet(store, key)) for key in parts]
    return pa.concat_tables(tables, promote_options="default")


def _parquet(store: Store, key: str) -> pa.Table:
    try:
        return pq.read_table(io.BytesIO(store.read(key)))
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {reason(error)}; remove it, and run again") from error

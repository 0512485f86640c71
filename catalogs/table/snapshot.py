"""Read committed rows, from the Delta table or, in stores without one, from the runs' own files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from numpy.typing import NDArray

from catalogs.store.error_text import DISK_FULL, reason
from catalogs.store.retry import retry_call
from catalogs.store.store import Store
from catalogs.table.arrow_fs import arrow_filesystem
from catalogs.table.redaction import has_credentials
from catalogs.table.run_files import read_run_files
from catalogs.table.schema import MASKED_SINCE, SCHEMA
from troupe.errors import SettingsError, StoreError

__all__ = ["AsOf", "Snapshot", "check_as_of", "latest_rows", "open_table", "snapshot", "time_of"]

AsOf: TypeAlias = int | datetime
"""A past state of the catalog: a version of the Delta table, or a time."""

_FIRST_FILES = 8
"""Files in the first part of `newest_first`; doubled from part to part."""
_LARGE_ROWS = 2**16
"""Rows of a file from which on it is read by row group."""
_MAX_HOLE, _MAX_REQUEST = 2**18, 2**25
"""Largest gap between columns that one request spans, and largest request, both in bytes."""


@dataclass(frozen=True)
class Snapshot:
    """Committed rows as of one moment, unordered; several per job if its run was resumed.

    Attributes:
        url: URL of the store.
        data: the rows.
        newest: last `recorded_at` by file, in microseconds since 1970, where its statistics include it.
        large: files large enough to be read by row group.
    """

    url: str
    data: ds.Dataset
    newest: Mapping[str, int] = field(default_factory=dict)
    large: frozenset[str] = frozenset()

    def read(self, where: pc.Expression | None = None, columns: list[str] | None = None) -> pa.Table:
        """Read the rows that match `where`, which is pushed down to the files' statistics, and their `columns`.

        Raises:
            SettingsError: a column does not exist.
            StoreError: they cannot be read.
        """
        unknown = set(columns or ()) - set(self.data.schema.names)
        if unknown:
            raise SettingsError(f"the catalog of {self.url} has no column {', '.join(sorted(unknown))}")
        try:
            # Small batches and little read-ahead: as fast, with a third of the memory.
            return retry_call(
                lambda: self.data.to_table(filter=where, columns=columns, batch_size=2**15, batch_readahead=2)
            )
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read the catalog of {self.url}: {reason(error)}; run again") from error

    def has_credentials(self) -> bool:
        """Return whether a row may have credentials in a URI: those of earlier versions were written as they came.

        Raises:
            StoreError: the rows cannot be read.
        """
        version = pc.field("schema_version")
        old = self.data.filter(version.is_null() | (version < MASKED_SINCE))
        try:
            return retry_call(lambda: any(has_credentials(pa.table(batch)) for batch in old.to_batches()))
        except (DeltaError, OSError, pa.ArrowException) as error:
            raise StoreError(f"cannot read the catalog of {self.url}: {reason(error)}; run again") from error

    def write_arrow(self, path: Path, rows_at_once: int) -> None:
        """Write the rows, in their order, to an Arrow file of record batches; they may exceed memory.

        Args:
            path: path of the file; overwritten.
            rows_at_once: rows per batch, and so in memory.

        Raises:
            StoreError: they cannot be read.
            OSError: they cannot be written.
        """

        def write() -> None:
            with pa.ipc.new_file(str(path), self.data.schema) as file:
                for part in _batched(
                    self.data.to_batches(batch_size=rows_at_once, batch_readahead=2, cache_metadata=False), rows_at_once
                ):
                    file.write_table(part.combine_chunks())

        try:
            retry_call(write)
        except (DeltaError, OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise  # the disk that is written to is full
            raise StoreError(f"cannot read the catalog of {self.url}: {reason(error)}; run again") from error

    def newest_first(self) -> Iterator[tuple[Snapshot, int | None]]:
        """Yield the rows in parts of growing size, the newest first.

        Each comes with the time of the last row that follows, in microseconds since 1970; None with the last part.
        Without statistics, all rows are one part.
        """
        if not self.newest:
            yield self, None
            return
        assert isinstance(self.data, ds.FileSystemDataset)
        parts = sorted(self._fragments(), key=lambda entry: -entry[0])
        size = _FIRST_FILES
        while parts:
            taken, parts = parts[:size], parts[size:]
            data = ds.FileSystemDataset(
                [fragment for _, fragment in taken], self.data.schema, self.data.format, self.data.filesystem
            )
            yield Snapshot(self.url, data), parts[0][0] if parts else None
            size *= 2

    def _fragments(self) -> Iterator[tuple[int, Any]]:
        """Yield files, or the row groups of large ones, and an upper bound of when their last row was recorded."""
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


def check_as_of(as_of: object) -> None:
    """Check that a value names a state of the catalog, which may not exist.

    Raises:
        SettingsError: it is no version, and no time with a time zone.
    """
    if isinstance(as_of, datetime) and as_of.tzinfo is None:
        raise SettingsError(f"{as_of.isoformat()} has no time zone; add one, such as +00:00")
    is_version = isinstance(as_of, int) and not isinstance(as_of, bool) and as_of >= 0
    if not (as_of is None or is_version or isinstance(as_of, datetime)):
        raise SettingsError(
            f"as_of is {as_of!r}; use a version of the catalog's table from 0 on, or a datetime with a time zone"
        )


def snapshot(store: Store, run_id: str | None = None, as_of: AsOf | None = None) -> Snapshot:
    """Return the rows of a run, or of all runs. Columns: the schema's, then those a newer version added.

    Args:
        run_id: only this run.
        as_of: past state to read instead of the current one.

    Raises:
        SettingsError: the version does not exist, or the time has no time zone.
        StoreError: the rows cannot be read.
    """
    check_as_of(as_of)
    place = store.delta()
    if place is None:
        if isinstance(as_of, int):
            raise SettingsError(f"{store.url} has no Delta table and so no versions; give a time instead")
        rows = read_run_files(store, run_id)
        return Snapshot(store.url, ds.dataset(rows if as_of is None else rows.filter(_recorded_by(as_of))))
    table = open_table(store, as_of)
    if table is None:
        return Snapshot(store.url, ds.dataset(SCHEMA.empty_table()))
    files = pa.table(table.get_add_actions(flatten=True))
    data = table.to_pyarrow_dataset(schema=_extended_schema(table), filesystem=arrow_filesystem(*place))
    data = _coalesced(data, files)
    if run_id is not None:
        data = data.filter(pc.field("run_id") == run_id)
    if isinstance(as_of, datetime):
        data = data.filter(_recorded_by(as_of))  # some stores keep commit times to the second only
    if run_id is not None or isinstance(as_of, datetime):
        return Snapshot(store.url, data)
    return Snapshot(store.url, data, *_statistics(files))


def open_table(store: Store, as_of: AsOf | None = None, key: str = "catalog") -> DeltaTable | None:
    """Open a Delta table of the store, now or as of a past state; None if nothing was ever committed.

    Args:
        store: store of the table.
        as_of: past state.
        key: key of the table; default the catalog's.

    Raises:
        SettingsError: the version does not exist.
        StoreError: it cannot be read, or the store has no Delta table.
    """
    place = store.delta(key)
    if place is None:
        raise StoreError(f"{store.url} cannot hold a Delta table; use a local folder, S3, GCS or Azure")
    uri, options = place
    try:
        # `DeltaTable.is_deltatable` would hold the interpreter's lock until the store responds.
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
                f"the catalog of {store.url} has no {'version' if isinstance(as_of, int) else 'state of'} {as_of}; "
                f"it is at version {table.version()}, and `vacuum` deletes old ones"
            ) from error
    return table


def time_of(rows: Snapshot, as_of: AsOf | None) -> datetime | None:
    """Return the time of a past state: for a version, when its last row was recorded. None for the current state.

    Args:
        rows: the rows as of that state.
    """
    if not isinstance(as_of, int):
        return as_of
    return datetime.fromtimestamp(max(rows.newest.values(), default=0) / 1e6, UTC)


def latest_rows(rows: pa.Table) -> pa.Table:
    """Return the effective row per job and run: the last recorded, except that `done` takes precedence over `reused`.

    (A resumed run reuses renders that it made itself earlier, and these stay its own.)

    Args:
        rows: table with at least run_id, job_id, status and recorded_at.
    """
    jobs = _dictionary_codes(rows, "run_id") * (len(rows) + 1) + _dictionary_codes(rows, "job_id")
    if len(np.unique(jobs)) == len(jobs):
        return rows
    status = rows.column("status").to_numpy()
    reused = (status == "reused") & np.isin(jobs, jobs[status == "done"])
    times = rows.column("recorded_at").cast(pa.int64()).to_numpy()
    order = np.lexsort((times, ~reused, jobs))
    last = np.flatnonzero(np.diff(jobs[order], append=-1))
    return rows.take(np.sort(order[last]))


def _batched(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Merge small batches into tables of at least this many rows."""
    batched: list[pa.RecordBatch] = []
    for batch in batches:
        batched.append(batch)
        if sum(len(part) for part in batched) >= rows:
            yield pa.Table.from_batches(batched)
            batched.clear()
    if batched:
        yield pa.Table.from_batches(batched)


def _dictionary_codes(rows: pa.Table, column: str) -> NDArray[np.int64]:
    """Return equal numbers for equal texts."""
    codes: Any = rows.column(column).combine_chunks().dictionary_encode()
    return np.asarray(codes.indices.fill_null(-1)).astype(np.int64) + 1


def _extended_schema(table: DeltaTable) -> pa.Schema:
    """Return the schema plus columns that a newer version added; columns that the table lacks read as null."""
    schema = SCHEMA
    existing: Any = table.schema().to_arrow()
    for column in pa.schema(existing):
        if column.name not in SCHEMA.names:
            schema = schema.append(column)
    return schema


def _coalesced(data: ds.Dataset, files: pa.Table) -> ds.FileSystemDataset:
    """Return the same dataset with two requests per file, its footer and its columns, for stores with high latency.

    File sizes come from the table, and columns are read together with small gaps between them.
    """
    assert isinstance(data, ds.FileSystemDataset)
    sizes = dict(zip(files.column("path").to_pylist(), files.column("size_bytes").to_pylist(), strict=True))
    coalescing = pa.CacheOptions(hole_size_limit=_MAX_HOLE, range_size_limit=_MAX_REQUEST, lazy=True)
    format = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(cache_options=coalescing))
    known: Any = data.get_fragments()
    fragments = [
        format.make_fragment(f.path, data.filesystem, f.partition_expression, file_size=sizes.get(f.path))
        for f in known
    ]
    return ds.FileSystemDataset(fragments, data.schema, format, data.filesystem)


def _statistics(files: pa.Table) -> tuple[dict[str, int], frozenset[str]]:
    """Return `Snapshot.newest` and `Snapshot.large` from the table's statistics."""
    if "max.recorded_at" not in files.column_names:
        return {}, frozenset()
    names = [_name(str(path)) for path in files.column("path").to_pylist()]
    times = files.column("max.recorded_at").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_pylist()
    rows = files.column("num_records").to_pylist()
    # Delta Lake truncates times to milliseconds.
    newest = {name: time + 999 for name, time in zip(names, times, strict=True) if time is not None}
    return newest, frozenset(name for name, count in zip(names, rows, strict=True) if (count or 0) > _LARGE_ROWS)


def _recorded_by(time: datetime) -> pc.Expression:
    return pc.field("recorded_at") <= pa.scalar(time, pa.timestamp("us", "UTC"))


def _microseconds(time: datetime) -> int:
    return int(pa.scalar(time, pa.timestamp("us", "UTC")).cast(pa.int64()).as_py() or 0)


def _name(path: str) -> str:
    """Return a file's name; deltalake's names are random and thus unique without the folder."""
    return path.rpartition("/")[2]

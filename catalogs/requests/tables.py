"""Read the cells of CSV, JSONL and Parquet tables, with problems reported by row."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from troupe.errors import BadJob

_log = logging.getLogger(__name__)

_SEPARATOR_LINE = re.compile(r"\"?sep=([,;\t|])\"?", re.IGNORECASE)
"""First line by which Excel states the delimiter."""
_INDEX_COLUMN = re.compile(r"|Unnamed: \d+|__index_level_\d+__")

__all__ = ["TABLE_SUFFIXES", "Table", "TableRow", "read_table"]


_BATCH = 128
"""Rows that are decoded at a time."""

_MOST_BYTES = 2**29
"""Bytes of all cells of a Parquet file; a million rows have about half of that."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row.

    Attributes:
        where: position in the file, for messages.
        cells: cells by column, as they are in the file.
    """

    where: str
    cells: Mapping[str, Any]


@dataclass
class Table:
    """The content of a table file.

    Attributes:
        columns: names of the columns, with the position where each first occurs.
        rows: rows that are not empty.
        problems: problems found while reading, one line each.
    """

    columns: dict[str, str] = field(default_factory=dict)
    rows: list[TableRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_table(data: bytes, name: str) -> Table:
    """Return the table in `data`. Row 1 is the first below the header.

    Args:
        data: content of the file.
        name: name of the file, whose suffix says its format.

    Raises:
        BadJob: it is not a table.
    """
    for suffix, reader in _READERS.items():
        if name.lower().endswith(suffix):
            if not data.strip():
                raise BadJob(f"{name} is empty; write one row per job")
            return _without_index(reader(data, name), name)
    kinds = ", ".join(_READERS)
    hint = " (JSON lists are not supported; write one object per line)" if name.lower().endswith(".json") else ""
    raise BadJob(f"{name} has an unsupported suffix; use one of {kinds}{hint}")


def _read_csv(data: bytes, name: str) -> Table:
    table = Table()
    records = _records(_decoded(data, name))
    header: list[str] | None = None
    first = line = 0
    try:
        for line, record in enumerate(records, start=1):
            cells = [cell.strip() for cell in record]
            while cells and not cells[-1] and (header is None or len(cells) > len(header)):
                cells.pop()  # spreadsheets also write the empty columns beside a table
            if not any(cells):
                continue
            if header is None:
                header, first = cells, line
                table.columns = dict.fromkeys(header, "header")
                table.problems += [
                    f"header: column {column!r} occurs twice" for column in table.columns if header.count(column) > 1
                ]
                continue
            where = f"row {line - first} (line {line})"
            if len(cells) != len(header):
                table.problems.append(f"{where}: has {len(cells)} cells, the header {len(header)}")
                continue
            table.rows.append(TableRow(where, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        where = f"row {line + 1 - first} (line {line + 1})" if header else "header"
        table.problems.append(f"{where}: not CSV: {error}; check the quotes")
    return table


def _read_jsonl(data: bytes, name: str) -> Table:
    table = Table()
    for number, line in enumerate(_decoded(data, name).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"row {number}"
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            table.problems.append(f"{where}: not JSON: {error}; write one object per line")
            continue
        if not isinstance(cells, dict):
            table.problems.append(f"{where}: not a JSON object; write one object per line")
            continue
        for column in cells:
            table.columns.setdefault(column, where)
        table.rows.append(TableRow(where, cells))
    return table


def _read_parquet(data: bytes, name: str) -> Table:
    try:
        file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        read = file.schema_arrow
        rows: list[dict[str, Any]] = []
        # A file of some kB may hold GB: they are counted batch by batch, before they become Python objects.
        size = sum(file.metadata.row_group(group).total_byte_size for group in range(file.num_row_groups))
        _check_bytes(size, name)
        size = 0
        for batch in file.iter_batches(batch_size=_BATCH):
            size += batch.nbytes
            _check_bytes(size, name)
            rows += batch.to_pylist()
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        raise BadJob(f"{name} is not Parquet: {' '.join(str(error).split())[:200]}") from error
    table = Table(columns=dict.fromkeys(read.names, "header"))
    if len(table.columns) < len(read.names):
        table.problems.append("header: a column occurs twice")
    table.rows = [TableRow(f"row {number}", cells) for number, cells in enumerate(rows, start=1)]
    return table


def _check_bytes(size: int, name: str) -> None:
    if size > _MOST_BYTES:
        raise BadJob(f"{name} has more than {_MOST_BYTES} bytes of cells; divide it into several files")


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadJob(f"{name} is not UTF-8 text (line {line}); save it as UTF-8") from error


def _records(text: str) -> Iterator[list[str]]:
    lines = (line for line in text.splitlines() if line.strip())
    header = next(lines, "")
    separator = _SEPARATOR_LINE.fullmatch(header.strip())
    if separator is not None:
        # Emptied, so that lines are counted as in the file.
        text, header = text.replace(header, "", 1), next(lines, "")
    # Where the decimal separator is a comma, spreadsheets write semicolons.
    delimiter = separator.group(1) if separator is not None else max(",;\t", key=header.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _without_index(table: Table, name: str) -> Table:
    """Remove the columns that pandas writes for the index of a data frame, with a warning."""
    index = [column for column in table.columns if _INDEX_COLUMN.fullmatch(column) and _is_counted(table, column)]
    if index:
        _log.warning("%s: ignoring %s, the index of a data frame", name, " and ".join(map(repr, index)))
    for column in index:
        del table.columns[column]
    table.rows = (
        [
            TableRow(row.where, {column: cell for column, cell in row.cells.items() if column not in index})
            for row in table.rows
        ]
        if index
        else table.rows
    )
    return table


def _is_counted(table: Table, column: str) -> bool:
    return column != "" or all(str(row.cells.get(column, "")).isdecimal() for row in table.rows)


_READERS = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}
TABLE_SUFFIXES = tuple(_READERS)

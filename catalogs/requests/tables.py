"""Read the cells of CSV, JSONL and Parquet tables, with problems reported by row."""

from __future__ import annotations

import codecs
import csv
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.requests.access.limits import MAX_ROWS, MAX_TABLE_BYTES, limit
from troupe.errors import BadJob

_log = logging.getLogger(__name__)

_SEPARATOR_LINE = re.compile(r"\"?sep=([,;\t|])\"?", re.IGNORECASE)
"""First line by which Excel states the delimiter."""
_INDEX_COLUMN = re.compile(r"|Unnamed: \d+|__index_level_\d+__")

__all__ = ["MOST_PROBLEMS", "TABLE_SUFFIXES", "Table", "TableRow", "read_table"]

MOST_PROBLEMS = 1000
"""Problems after which a table is not read further."""
_MOST_COLUMNS = 1000
_LONGEST_ROW = 2**20
"""Characters of a row of CSV, bytes of one of JSON."""
_MOST_GROUP_BYTES = 2**27
"""Bytes of a row group of Parquet, of which large cells are decoded as a whole; half a million rows have as many.

Not of its columns: where their metadata is damaged, Arrow ends the process.
"""
_BATCH = 128
"""Rows of Parquet that are decoded at a time."""


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
    """The content of a table file, which is read as `rows` are taken: `columns` and `problems` grow meanwhile.

    Attributes:
        header: names of the columns, with the position where each first occurs.
        rows: rows that are not empty; to be taken once.
        problems: problems found while reading, one line each.
        numbered: whether all cells of a column without a name are numbers, as those of an index are.
    """

    header: dict[str, str] = field(default_factory=dict)
    rows: Iterator[TableRow] = field(default_factory=lambda: iter(()))
    problems: list[str] = field(default_factory=list)
    numbered: bool = True

    @property
    def columns(self) -> dict[str, str]:
        """The columns without those that pandas writes for the index of a data frame."""
        return {column: where for column, where in self.header.items() if not self.is_index(column)}

    def is_index(self, column: str) -> bool:
        """Return whether a column is the index of a data frame."""
        return _INDEX_COLUMN.fullmatch(column) is not None and (column != "" or self.numbered)

    def add_columns(self, columns: Mapping[str, str], name: str) -> None:
        """Add the columns that are new.

        Raises:
            BadJob: there are too many.
        """
        for column, where in columns.items():
            self.header.setdefault(column, where)
        if len(self.header) > _MOST_COLUMNS:
            raise BadJob(f"{name} has more than {_MOST_COLUMNS} columns; check its header and delimiter")


def read_table(data: bytes | IO[bytes], name: str) -> Table:
    """Return the table in `data`. Row 1 is the first below the header.

    Args:
        data: content of the file, or the file, open while rows are taken.
        name: name of the file, whose suffix says its format.

    Raises:
        BadJob: it is not a table, or exceeds a limit; also raised while rows are taken.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    for suffix, reader in _READERS.items():
        if name.lower().endswith(suffix):
            if not file.read(_LONGEST_ROW).strip() and not file.read(1):
                raise BadJob(f"{name} is empty; write one row per job")
            file.seek(0)
            table = Table()
            table.rows = _counted(table, reader(file, name, table), name)
            return table
    kinds = ", ".join(_READERS)
    hint = " (JSON lists are not supported; write one object per line)" if name.lower().endswith(".json") else ""
    raise BadJob(f"{name} has an unsupported suffix; use one of {kinds}{hint}")


def _counted(table: Table, rows: Iterator[TableRow], name: str) -> Iterator[TableRow]:
    """Yield the rows until there are too many; warn about the index of a data frame."""
    try:
        for number, row in enumerate(rows, 1):
            if number > (most := limit(MAX_ROWS)):
                raise BadJob(f"{name} has more than {most} rows, the limit: divide it into parts, or set {MAX_ROWS}")
            if "" in row.cells and not str(row.cells[""]).isdecimal():
                table.numbered = False
            yield row
    finally:
        if index := [column for column in table.header if table.is_index(column)]:
            _log.warning("%s: ignoring %s, the index of a data frame", name, " and ".join(map(repr, index)))


def _csv_rows(file: IO[bytes], name: str, table: Table) -> Iterator[TableRow]:
    lines = _Lines(io.TextIOWrapper(file, "utf-8-sig", newline=""))
    header: list[str] | None = None
    first = line = 0
    try:
        for line, record in enumerate(_records(lines), start=1):
            lines.pending = 0
            cells = [cell.strip() for cell in record]
            while cells and not cells[-1] and (header is None or len(cells) > len(header)):
                cells.pop()  # spreadsheets also write the empty columns beside a table
            if not any(cells):
                continue
            if header is None:
                header, first = cells, line
                table.add_columns(dict.fromkeys(header, "header"), name)
                table.problems += [
                    f"header: column {column[:80]!r} occurs twice"
                    for column in table.header
                    if header.count(column) > 1
                ]
                continue
            where = f"row {line - first} (line {line})"
            if len(cells) != len(header):
                table.problems.append(f"{where}: has {len(cells)} cells, the header {len(header)}")
                if len(table.problems) >= MOST_PROBLEMS:
                    return
                continue
            yield TableRow(where, dict(zip(header, cells, strict=True)))
    except UnicodeDecodeError:
        raise _not_utf8(file, name) from None
    except csv.Error as error:
        where = f"row {line + 1 - first} (line {line + 1})" if header else "header"
        table.problems.append(f"{where}: not CSV: {error}; check the quotes")


class _Lines:
    """The lines of a text, until one row has too many.

    Attributes:
        pending: characters of the row that is being read.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.pending = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(_LONGEST_ROW):
            self.pending += len(line)
            if self.pending >= _LONGEST_ROW:
                raise csv.Error(f"it has more than {_LONGEST_ROW} characters")
            yield line


def _records(lines: _Lines) -> Iterator[list[str]]:
    rest, head, separator, header = iter(lines), [], None, ""
    for header in rest:
        found = _SEPARATOR_LINE.fullmatch(header.strip()) if separator is None else None
        # Emptied, so that lines are counted as in the file.
        head.append("\n" if found else header)
        separator = separator or found
        if header.strip() and not found:
            break
    # Where the decimal separator is a comma, spreadsheets write semicolons.
    delimiter = separator.group(1) if separator is not None else max(",;\t", key=header.count)
    return csv.reader(chain(head, rest), delimiter=delimiter, strict=True)


def _jsonl_rows(file: IO[bytes], name: str, table: Table) -> Iterator[TableRow]:
    number = 0
    while line := file.readline(_LONGEST_ROW):
        number += 1
        where = f"row {number}"
        if len(line) == _LONGEST_ROW:
            table.problems.append(f"{where}: has more than {_LONGEST_ROW} bytes; write one object per line")
            return
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            if not text.strip():
                continue
            cells = json.loads(text)
        except UnicodeDecodeError:
            raise _not_utf8(file, name) from None
        except (ValueError, RecursionError) as error:
            table.problems.append(f"{where}: not JSON: {error}; write one object per line")
        else:
            if isinstance(cells, dict):
                if not cells.keys() <= table.header.keys():
                    table.add_columns(dict.fromkeys(cells, where), name)
                yield TableRow(where, cells)
                continue
            table.problems.append(f"{where}: not a JSON object; write one object per line")
        if len(table.problems) >= MOST_PROBLEMS:
            return


def _parquet_rows(file: IO[bytes], name: str, table: Table) -> Iterator[TableRow]:
    number = 0
    try:
        parquet = pq.ParquetFile(file)
        names = parquet.schema_arrow.names
        # A file of some kB may hold GB: they are counted batch by batch, before they become Python objects.
        groups = [parquet.metadata.row_group(place) for place in range(parquet.num_row_groups)]
        if any(group.total_byte_size > _MOST_GROUP_BYTES for group in groups):
            raise BadJob(f"{name} has more than {_MOST_GROUP_BYTES} bytes in a row group; write smaller ones")
        _check_bytes(sum(group.total_byte_size for group in groups), name)
        table.add_columns(dict.fromkeys(names, "header"), name)
        if len(table.header) < len(names):
            table.problems.append("header: a column occurs twice")
        size = 0
        for batch in parquet.iter_batches(batch_size=_BATCH):
            size += batch.nbytes
            _check_bytes(size, name)
            for cells in batch.to_pylist():
                number += 1
                yield TableRow(f"row {number}", cells)
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        raise BadJob(f"{name} is not Parquet: {' '.join(str(error).split())[:200]}") from error


def _check_bytes(size: int, name: str) -> None:
    if size > (most := limit(MAX_TABLE_BYTES)):
        raise BadJob(f"{name} has more than {most} bytes of cells, the limit: divide it, or set {MAX_TABLE_BYTES}")


def _not_utf8(file: IO[bytes], name: str) -> BadJob:
    """Return the error for a file that is not UTF-8, with the line where."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    file.seek(0)
    try:
        while part := file.read(_LONGEST_ROW):
            decoder.decode(part)
            line += part.count(b"\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        line += error.object.count(b"\n", 0, error.start)
    return BadJob(f"{name} is not UTF-8 text (line {line}); save it as UTF-8")


_READERS: dict[str, Callable[[IO[bytes], str, Table], Iterator[TableRow]]] = {
    ".csv": _csv_rows,
    ".jsonl": _jsonl_rows,
    ".parquet": _parquet_rows,
}
TABLE_SUFFIXES = tuple(_READERS)

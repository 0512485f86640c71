"""Tables that people write, read into cells: CSV, JSONL and Parquet alike, wrong places named by row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from troupe.errors import BadJob

__all__ = ["Sheet", "SheetRow", "read_sheet"]


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A row: where it is, in words, and its cells as the file has them."""

    where: str
    cells: Mapping[str, Any]


@dataclass
class Sheet:
    """A table.

    Attributes:
        columns: names, and where each is first seen.
        rows: those that hold anything.
        problems: what could not be read, one line each.
    """

    columns: dict[str, str] = field(default_factory=dict)
    rows: list[SheetRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_sheet(data: bytes, name: str) -> Sheet:
    """The table in `data`, whose kind the file's `name` tells. Row 1 is the first one below a header.

    Raises:
        BadJob: it is no table at all.
    """
    for suffix, reader in _READERS.items():
        if name.lower().endswith(suffix):
            if not data.strip():
                raise BadJob(f"{name} is empty; it needs a row for every job")
            return reader(data, name)
    kinds = ", ".join(_READERS)
    hint = " (a JSON list will not do: one object a line)" if name.lower().endswith(".json") else ""
    raise BadJob(f"{name} is no jobs file by its name; use one of {kinds}{hint}")


def _read_csv(data: bytes, name: str) -> Sheet:
    sheet = Sheet()
    records = _records(_decoded(data, name))
    header: list[str] | None = None
    first = line = 0
    try:
        for line, record in enumerate(records, start=1):
            cells = [cell.strip() for cell in record]
            while cells and not cells[-1] and (header is None or len(cells) > len(header)):
                cells.pop()  # spreadsheets write the empty columns beside a table, too
            if not any(cells):
                continue
            if header is None:
                header, first = cells, line
                sheet.columns = dict.fromkeys(header, "header")
                sheet.problems += [
                    f"header: column {column!r} is there twice" for column in sheet.columns if header.count(column) > 1
                ]
                continue
            where = f"row {line - first} (line {line})"
            if len(cells) != len(header):
                sheet.problems.append(f"{where}: has {len(cells)} cells, the header {len(header)}")
                continue
            sheet.rows.append(SheetRow(where, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        where = f"row {line + 1 - first} (line {line + 1})" if header else "header"
        sheet.problems.append(f"{where}: not CSV: {error}; check the quotes")
    return sheet


def _read_jsonl(data: bytes, name: str) -> Sheet:
    sheet = Sheet()
    for number, line in enumerate(_decoded(data, name).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"row {number}"
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            sheet.problems.append(f"{where}: not JSON: {error}; write one object a line")
            continue
        if not isinstance(cells, dict):
            sheet.problems.append(f"{where}: not a JSON object; write one object a line")
            continue
        for column in cells:
            sheet.columns.setdefault(column, where)
        sheet.rows.append(SheetRow(where, cells))
    return sheet


def _read_parquet(data: bytes, name: str) -> Sheet:
    try:
        table = pq.read_table(io.BytesIO(data))
        rows = table.to_pylist()
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError) as error:
        raise BadJob(f"{name} is not Parquet: {' '.join(str(error).split())[:200]}") from error
    sheet = Sheet(columns=dict.fromkeys(table.column_names, "header"))
    if len(sheet.columns) < table.num_columns:
        sheet.problems.append("header: a column is there twice")
    sheet.rows = [SheetRow(f"row {number}", cells) for number, cells in enumerate(rows, start=1)]
    return sheet


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadJob(f"{name} is not UTF-8 text (line {line}); save it as UTF-8") from error


def _records(text: str) -> Iterator[list[str]]:
    header = next((line for line in text.splitlines() if line.strip()), "")
    # Where the decimal separator is a comma, spreadsheets write semicolons.
    delimiter = max(",;\t", key=header.count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


_READERS = {".csv": _read_csv, ".jsonl": _read_jsonl, ".parquet": _read_parquet}

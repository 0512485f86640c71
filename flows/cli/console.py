"""Output of the command line: tables with colours on a terminal, tab-separated lines in a pipe, or JSON.

Results go to standard output, messages to standard error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from catalogs.store.uris import redacted_text

__all__ = ["Format", "console", "human_size", "print_error", "print_json", "print_table", "stderr"]

console = Console(highlight=False, markup=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

CELL_STYLES = {
    "ok": "green",
    "done": "green",
    "completed": "green",
    "reused": "cyan",
    "warn": "yellow",
    "cancelled": "yellow",
    "bad": "bold red",
    "failed": "bold red",
    "crashed": "bold red",
}
"""Styles of table cells, by their text."""


class Format(StrEnum):
    """Output formats of commands that list things."""

    table = "table"
    json = "json"


def print_error(message: str) -> None:
    """Print an error to standard error, in red on a terminal."""
    stderr.print(Text(f"error: {message}", style="red"))


def print_json(value: Any) -> None:
    """Print a value as one JSON document."""
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    right: Collection[str] = (),
    optional: Collection[str] = (),
) -> None:
    """Print a table on a terminal; elsewhere tab-separated lines, the first with the column names.

    Args:
        right: names of the columns to align right.
        optional: names of the columns that a terminal does not show where all their cells are empty.
    """
    cells = [[" ".join(redacted_text(cell).split()) for cell in row] for row in rows]
    if not console.is_terminal:
        for row in (columns, *cells):
            typer.echo("\t".join(row))
        return
    shown = [n for n, column in enumerate(columns) if column not in optional or any(row[n] for row in cells)]
    columns, cells = [columns[n] for n in shown], [[row[n] for n in shown] for row in cells]
    widths = [max(cell_len(cell) for cell in each) for each in zip(columns, *cells, strict=True)]
    console.print(_line(columns, columns, widths, right, lambda _: "bold"))
    for row in cells:
        console.print(_line(row, columns, widths, right, lambda cell: CELL_STYLES.get(cell, "")))


def _line(
    cells: Sequence[str],
    columns: Sequence[str],
    widths: Sequence[int],
    right: Collection[str],
    style: Callable[[str], str],
) -> Text:
    """Return a row of a table on one line, however long: the terminal wraps it, and what is copied stays whole."""
    line = Text()
    for cell, column, width in zip(cells, columns, widths, strict=True):
        pad = " " * (width - cell_len(cell))
        text = f"{pad}{cell}" if column in right else f"{cell}{pad}"
        line.append(text, style(cell)).append("  ")
    line.rstrip()
    return line


def human_size(size: float) -> str:
    """Format a number of bytes with a decimal unit: `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

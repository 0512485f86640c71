"""Output of the command line: tables with colours on a terminal, tab-separated lines in a pipe, or JSON.

Results go to standard output, messages to standard error.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["Format", "console", "human_size", "print_error", "print_json", "print_table", "stderr"]

console = Console(highlight=False, markup=False, soft_wrap=True)
stderr = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)

CELL_STYLES = {
    "ok": "green",
    "done": "green",
    "reused": "cyan",
    "warn": "yellow",
    "cancelled": "yellow",
    "bad": "bold red",
    "failed": "bold red",
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


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> None:
    """Print a table on a terminal; elsewhere tab-separated lines, the first with the column names.

    Args:
        right: names of the columns to align right.
    """
    if not console.is_terminal:
        for row in (columns, *rows):
            typer.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=CELL_STYLES.get(cell, "")) for cell in row))
    console.print(table)


def human_size(size: float) -> str:
    """Format a number of bytes with a decimal unit: `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

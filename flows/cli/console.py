"""How the command line speaks: tables and colours on a terminal, plain lines in a pipe, JSON alone on its own.

Standard output is for what the user asked for, standard error for everything about it.
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

STYLES = {
    "ok": "green",
    "done": "green",
    "reused": "cyan",
    "warn": "yellow",
    "cancelled": "yellow",
    "bad": "bold red",
    "failed": "bold red",
}
"""Colours of the cells that hold one of these words."""


class Format(StrEnum):
    """How a command that lists things prints them."""

    table = "table"
    json = "json"


def print_error(message: str) -> None:
    """Say what went wrong, in red where there are colours."""
    stderr.print(Text(f"error: {message}", style="red"))


def print_json(value: Any) -> None:
    """One document on standard output, and nothing else."""
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()) -> None:
    """A table on a terminal; elsewhere a line a row with tabs between the cells, the columns' names first.

    Args:
        right: columns whose cells are numbers, aligned at their end.
    """
    if not console.is_terminal:
        for row in (columns, *rows):
            typer.echo("\t".join(" ".join(cell.split()) for cell in row))
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    console.print(table)


def human_size(size: float) -> str:
    """Bytes in the unit that leaves few digits: `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 99.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"

"""Rows of the catalog on the terminal, and as files."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from flows.cli.console import human_size, print_json, print_table, stderr
from troupe.errors import SettingsError

if TYPE_CHECKING:
    import pyarrow as pa

    from catalogs.store.store import Store

__all__ = [
    "RowFormat",
    "encode_rows",
    "format_cell",
    "format_statistic",
    "print_costs",
    "print_jobs",
    "print_review",
    "print_rows",
]


class RowFormat(StrEnum):
    """Output formats of rows."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


def print_review(store: Store, row: dict[str, Any]) -> None:
    """Print what was decided about a film, and the attempts at it if there are several."""
    from catalogs.query.attempts import attempts
    from catalogs.review.decisions import Decisions

    if not row["render_key"]:
        return
    for line in Decisions(store).history(row["render_key"], row["picture_key"]):
        at = "" if line.time_seconds is None else f" at {line.time_seconds:.2f} s"
        said = ": ".join(filter(None, (line.reason, line.comment)))
        stderr.print(
            f"{line.decided_at:%Y-%m-%d %H:%M} {line.shown_reviewer}: {line.kind} ({line.scope}){at} {said}".rstrip(),
            markup=False,
        )
    if found := attempts(store, row["render_key"]):
        stderr.print("attempts, each to replace the one before:")
        names = ("run_id", "job_id", "status", "preset", "seed", "review", "reviewer", "review_reason")
        print_table(
            ("run", "job", "status", "preset", "seed", "review", "reviewer", "reason"),
            [[format_cell(one[name]) for name in names] for one in found],
        )


def print_costs(groups: list[dict[str, Any]], by: str | None, price: float | None, *, as_json: bool) -> None:
    """Print what groups of jobs took, and cost at a price per worker and hour."""
    if price is not None:
        groups = [group | {"cost": round(group["worker_hours"] * price, 2)} for group in groups]
    if as_json:
        print_json(groups)
        return
    columns = ["jobs", "videos", "video seconds", "worker hours", *(["cost"] if price is not None else [])]
    print_table(
        (by or "group", *columns),
        [
            (
                group["group"] if group["group"] is not None else "(none)",
                str(group["jobs"]),
                str(group["videos"]),
                f"{group['video_seconds']:.1f}",
                f"{group['worker_hours']:.2f}",
                *([f"{group['cost']:.2f}"] if price is not None else []),
            )
            for group in groups
        ],
        right=columns,
    )


def print_rows(rows: pa.Table, format: RowFormat) -> None:
    """Write rows to standard output.

    Raises:
        SettingsError: Parquet would be written to a terminal.
    """
    if format is RowFormat.parquet and sys.stdout.isatty():
        raise SettingsError("cannot print Parquet to a terminal; redirect it to a file with >")
    sys.stdout.buffer.write(encode_rows(rows, format))
    sys.stdout.flush()


def encode_rows(rows: pa.Table, format: RowFormat, excel: bool = False) -> bytes:
    """Return rows as a file of JSON, CSV or Parquet; `excel` makes CSV that Excel reads as UTF-8."""
    from catalogs.query import jobs as query

    if format is RowFormat.parquet:
        return query.to_parquet(rows)
    return (query.to_json(rows) + "\n" if format is RowFormat.json else query.to_csv(rows, excel=excel)).encode()


def print_jobs(rows: list[dict[str, Any]]) -> None:
    """Print the main columns of rows as a table."""
    print_table(
        ("finished (UTC)", "run", "job", "status", "review", "identity", "frames", "seconds", "video or error"),
        (
            (
                f"{row['finished_at']:%Y-%m-%d %H:%M}" if row["finished_at"] else "",
                row["run_id"],
                row["job_id"],
                row["status"],
                row["review"] or "",
                row["identity"] or "",
                "" if row["frames"] is None else str(row["frames"]),
                "" if row["seconds"] is None else f"{row['seconds']:.2f}",
                row["error"] or row["full_uri"] or row["crop_uri"] or "",
            )
            for row in rows
        ),
        right=("frames", "seconds"),
        optional=("review",),
    )


def format_statistic(name: str, value: Any) -> str:
    """Format a value of `troupe catalog stats` in the unit that its name ends in."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return human_size(value) if name.endswith("_bytes") else format_cell(value)


def format_cell(value: Any) -> str:
    """Format a value for a table cell."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {format_cell(inner)}" for name, inner in value.items())
    return str(value)

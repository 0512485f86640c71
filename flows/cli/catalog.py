"""`troupe catalog`: what a store holds."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import human_size, print_json, print_table, stderr
from flows.cli.filters import AS_OF, STORE, with_filters
from troupe.errors import SettingsError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["app"]

SHOWN = 20
"""Rows of a table where no limit is named."""
COLUMNS = (
    "finished_at",
    "run_id",
    "job_id",
    "status",
    "identity",
    "frames",
    "seconds",
    "full_uri",
    "crop_uri",
    "error",
)

app = typer.Typer(no_args_is_help=True)


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    parquet = "parquet"


FORMAT = Annotated[Format, typer.Option(help="A table of the main columns; JSON, CSV and Parquet have all.")]
LIMIT = Annotated[
    int | None,
    typer.Option(min=1, help="At most so many rows.", show_default=f"{SHOWN} for a table, all otherwise"),
]


@app.callback()
def catalog() -> None:
    """Look at what a store holds: a row for every job of every run."""


@app.command()
@with_filters
def ls(
    filters: dict[str, Any],
    store: STORE = "troupe-store",
    as_of: AS_OF = None,
    limit: LIMIT = None,
    format: FORMAT = Format.table,
) -> None:
    """List what was made and what failed, the newest first.

    Examples:

    - `troupe catalog ls`
    - `troupe catalog ls --status failed --run latest`
    - `troupe catalog ls --since 7d --max identity=0.4 --tag scene=2`
    - `troupe catalog ls --store s3://bucket/troupe --identity ada --format csv > ada.csv`
    """
    from catalogs.query import jobs as query
    from catalogs.store.store import open_store

    place = open_store(store)
    if format is not Format.table:
        _print(query.ls(place, limit=limit, as_of=as_of, **filters), format)
        return
    # One more than is shown tells whether there are more.
    rows = query.ls(place, limit=(limit or SHOWN) + 1, columns=COLUMNS, as_of=as_of, **filters).to_pylist()
    _print_jobs(rows[: limit or SHOWN])
    if not rows:
        stderr.print(f"the catalog of {store} has no such rows" if any(filters.values()) else f"{store} is empty")
    elif limit is None and len(rows) > SHOWN:
        stderr.print(f"the newest {SHOWN}; --limit shows more")


@app.command()
def show(
    job: Annotated[str, typer.Argument(help="The job's job_id.", show_default=False)],
    store: STORE = "troupe-store",
    run: Annotated[
        str | None, typer.Option(help="Of this run, rather than of the last one.", show_default=False)
    ] = None,
    as_of: AS_OF = None,
    as_json: Annotated[bool, typer.Option("--json", help="All columns of all its runs, as JSON.")] = False,
) -> None:
    """Everything about one job, and the line that makes it again.

    Examples:

    - `troupe catalog show ada__welcome`
    - `troupe catalog show ada__welcome --run 20261124-061500-ab12 --json`
    """
    from catalogs.query.job_details import again_command, job_rows
    from catalogs.store.store import open_store

    place = open_store(store)
    rows = job_rows(place, job, run, as_of)
    if as_json:
        print_json(rows)
        return
    row = rows[0]
    print_table(("column", "value"), [(name, _text(value)) for name, value in row.items() if value not in (None, "")])
    if len(rows) > 1:
        stderr.print("also in " + ", ".join(f"{other['run_id']} ({other['status']})" for other in rows[1:]))
    stderr.print("to make it again:")
    typer.echo(again_command(place, row))


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; `-` reads it from standard input.", show_default=False)],
    store: STORE = "troupe-store",
    as_of: AS_OF = None,
    format: FORMAT = Format.table,
) -> None:
    """Ask a question in SQL (DuckDB's) over two tables.

    `jobs` has a row for every job and run, `rows` all that was ever recorded, also of jobs that a resumed run came to
    twice. `DESCRIBE jobs` names the columns. A question sees these tables and nothing else, and changes nothing.

    Examples:

    - `troupe catalog sql "SELECT error_kind, count(*) FROM jobs WHERE status = 'failed' GROUP BY ALL"`
    - `troupe catalog sql "SELECT tags['scene'], avg(quality_identity) FROM jobs GROUP BY ALL" --format csv`
    """
    from catalogs.query import sql as questions
    from catalogs.store.store import open_store

    answer = questions.sql(open_store(store), sys.stdin.read() if query == "-" else query, as_of=as_of)
    if format is not Format.table:
        _print(answer, format)
        return
    numbers = [
        field.name for field in answer.schema if str(field.type).startswith(("int", "uint", "double", "decimal"))
    ]
    print_table(
        answer.column_names, [[_text(value) for value in row.values()] for row in answer.to_pylist()], right=numbers
    )


@app.command()
@with_filters
def export(
    filters: dict[str, Any],
    file: Annotated[Path, typer.Argument(help="Where to: .parquet, .csv or .json.", show_default=False)],
    store: STORE = "troupe-store",
    as_of: AS_OF = None,
    limit: LIMIT = None,
) -> None:
    """Write rows of the catalog, with all columns, to a file. (`troupe export` delivers the videos.)

    Examples:

    - `troupe catalog export all.parquet`
    - `troupe catalog export failed.csv --status failed --since 2026-11-01`
    """
    from catalogs.query import jobs as query
    from catalogs.store.store import open_store

    formats = {".parquet": Format.parquet, ".csv": Format.csv, ".json": Format.json}
    if file.suffix.lower() not in formats:
        raise SettingsError(f"{file} is none of {', '.join(formats)}")
    rows = query.ls(open_store(store), limit=limit, as_of=as_of, **filters)
    file.write_bytes(_bytes(rows, formats[file.suffix.lower()]))
    stderr.print(f"{len(rows)} rows in {file}")


@app.command()
@with_filters
def stats(
    filters: dict[str, Any],
    store: STORE = "troupe-store",
    as_of: AS_OF = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Counts, times and quality of what a store holds, and the state of its table.

    Examples:

    - `troupe catalog stats`
    - `troupe catalog stats --run latest --json`
    """
    from dataclasses import asdict

    from catalogs.query.statistics import statistics, table_state
    from catalogs.store.store import open_store

    place = open_store(store)
    numbers, table = statistics(place, as_of=as_of, **filters), table_state(place)
    if as_json:
        print_json({**numbers, "table": asdict(table) if table else None})
        return
    lines = [(name.replace("_", " "), _number(name, value)) for name, value in numbers.items() if value is not None]
    if table is not None:
        lines.append(("table", f"version {table.version}, {table.files} files, {human_size(table.bytes)}"))
    print_table(("what", "value"), lines)
    if table is not None and table.small_files > SHOWN:
        stderr.print(f"{table.small_files} small files: `troupe catalog compact` makes questions quicker")


@app.command()
def compact(
    store: STORE = "troupe-store",
    order: Annotated[
        bool,
        typer.Option(
            "--z-order", help="Also write all anew with an identity's rows side by side; takes memory and time."
        ),
    ] = False,
) -> None:
    """Put the catalog's small files together, so that questions are answered sooner.

    Runs may go on meanwhile. The old files stay for those who read them, and for --as-of, until `vacuum`.

    Examples:

    - `troupe catalog compact`
    - `troupe catalog compact --store s3://bucket/troupe --z-order`
    """
    from catalogs.store.store import open_store
    from catalogs.table import compaction as upkeep

    done = upkeep.compact(open_store(store), order=order)
    stderr.print(f"{done.removed} files became {done.added}; the table is at version {done.version}")


@app.command()
def vacuum(
    store: STORE = "troupe-store",
    grace: Annotated[int, typer.Option(min=1, metavar="HOURS", help="How long unused files are kept.")] = 168,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete files that the catalog needs no more; --as-of then reaches back no further than the grace time.

    Examples:

    - `troupe catalog vacuum --dry-run`
    - `troupe catalog vacuum --grace 24`
    """
    from catalogs.store.store import open_store
    from catalogs.table import compaction as upkeep

    files = upkeep.vacuum(open_store(store), timedelta(hours=grace), dry_run=dry_run)
    for file in files:
        typer.echo(file)
    stderr.print(f"{len(files)} files {'would be ' if dry_run else ''}deleted")


def _print(rows: pa.Table, format: Format) -> None:
    if format is Format.parquet and sys.stdout.isatty():
        raise SettingsError(
            "Parquet is nothing for a terminal; send it to a file with > or use `troupe catalog export`"
        )
    sys.stdout.buffer.write(_bytes(rows, format))
    sys.stdout.flush()


def _bytes(rows: pa.Table, format: Format) -> bytes:
    from catalogs.query import jobs as query

    if format is Format.parquet:
        return query.to_parquet(rows)
    return (query.to_json(rows) + "\n" if format is Format.json else query.to_csv(rows)).encode()


def _print_jobs(rows: list[dict[str, Any]]) -> None:
    print_table(
        ("finished (UTC)", "run", "job", "status", "identity", "frames", "seconds", "video or error"),
        (
            (
                f"{row['finished_at']:%Y-%m-%d %H:%M}" if row["finished_at"] else "",
                row["run_id"],
                row["job_id"],
                row["status"],
                row["identity"] or "",
                "" if row["frames"] is None else str(row["frames"]),
                "" if row["seconds"] is None else f"{row['seconds']:.2f}",
                row["error"] or row["full_uri"] or row["crop_uri"] or "",
            )
            for row in rows
        ),
        right=("frames", "seconds"),
    )


def _number(name: str, value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return human_size(value) if name.endswith("_bytes") else _text(value)


def _text(value: Any) -> str:
    """A value in a table's cell."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(inner)}" for name, inner in value.items())
    return str(value)

"""`troupe catalog`: query and maintain the catalog of a store."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.console import human_size, print_json, print_table, stderr
from flows.cli.options import (
    DEFAULT_STORE,
    AsOfOption,
    DryRunOption,
    ExcelOption,
    StoreOption,
    explain_empty,
    with_filters,
)
from flows.cli.results.rows import (
    RowFormat,
    encode_rows,
    format_cell,
    format_statistic,
    print_costs,
    print_jobs,
    print_review,
    print_rows,
)
from troupe.errors import SettingsError
from troupe.wording import counted

__all__ = ["app"]

TABLE_ROWS = 20
"""Number of rows that a table shows without --limit."""

app = typer.Typer(no_args_is_help=True)


RowFormatOption = Annotated[
    RowFormat, typer.Option(help="Output format. A table shows the main columns, all others contain every column.")
]
LimitOption = Annotated[
    int | None,
    typer.Option(min=1, help="Maximum number of rows.", show_default=f"{TABLE_ROWS} for a table, all otherwise"),
]


@app.callback()
def catalog() -> None:
    """Query and maintain the catalog of a store: one row per job and run."""


@app.command()
@with_filters
def ls(
    filters: dict[str, Any],
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    limit: LimitOption = None,
    format: RowFormatOption = RowFormat.table,
) -> None:
    """List jobs and their results, newest first.

    Examples:

    - `troupe catalog ls`
    - `troupe catalog ls --status failed --run latest`
    - `troupe catalog ls --since 7d --max identity=0.4 --tag scene=2`
    - `troupe catalog ls --review rejected`
    - `troupe catalog ls --store s3://bucket/troupe --identity ada --format csv > ada.csv`
    """
    from catalogs.query import jobs as query
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    if format is not RowFormat.table:
        table = query.list_jobs(opened, limit=limit, as_of=as_of, **filters)
        print_rows(table, format)
        if not len(table):
            explain_empty(opened, filters, as_of)
        return
    # One row more than is shown, to know whether there are more.
    rows = query.list_jobs(
        opened, limit=(limit or TABLE_ROWS) + 1, columns=query.LISTED_COLUMNS, as_of=as_of, **filters
    ).to_pylist()
    print_jobs(rows[: limit or TABLE_ROWS])
    if not rows:
        stderr.print(
            f"no jobs in {store} match the filters" if any(filters.values()) else f"the catalog of {store} is empty"
        )
        explain_empty(opened, filters, as_of)
    elif limit is None and len(rows) > TABLE_ROWS:
        stderr.print(f"showing the newest {TABLE_ROWS}; use --limit to show more")


@app.command()
def show(
    job: Annotated[str, typer.Argument(help="The job_id.")],
    store: StoreOption = DEFAULT_STORE,
    run: Annotated[str | None, typer.Option(help="Show the job as of this run instead of the latest.")] = None,
    as_of: AsOfOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all columns, for all runs of the job, as JSON.")
    ] = False,
) -> None:
    """Show everything about one job, and the command that renders it again.

    Examples:

    - `troupe catalog show ada__welcome`
    - `troupe catalog show ada__welcome --run 20261124-061500-ab12 --json`
    """
    from catalogs.query import jobs as query
    from catalogs.query.job_details import job_rows, rerun_command
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    rows = job_rows(opened, job, run, as_of)
    if as_json:
        print_json(rows)
        return
    row = rows[0]
    print_table(
        ("column", "value"), [(name, format_cell(value)) for name, value in row.items() if value not in (None, "")]
    )
    if len(rows) > 1:
        stderr.print("also part of " + ", ".join(f"{other['run_id']} ({other['status']})" for other in rows[1:]))
    if row["picture_key"]:
        films = query.list_jobs(opened, picture=row["picture_key"], columns=["job_id", "language"])
        others = {
            film["job_id"] + (f" ({film['language']})" if film["language"] else "")
            for film in films.to_pylist()
            if film["job_id"] != job
        }
        if others:
            stderr.print(f"films of the same picture (--picture {row['picture_key']}): {', '.join(sorted(others))}")
    print_review(opened, row)
    command = rerun_command(opened, row)
    secret = "; fill in what grants access instead of ***" if "=***" in command or "//***@" in command else ""
    if secret and row["status"] == "failed":
        secret += f", or run {opened.command('retry ' + row['run_id'])}"
    stderr.print(f"to render it again{secret}:")
    typer.echo(command)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A SELECT statement; `-` reads it from standard input.")],
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    format: Annotated[RowFormat, typer.Option(help="Output format.")] = RowFormat.table,
) -> None:
    """Query the catalog in SQL, in DuckDB's dialect.

    There are four tables: `jobs` has one row per job and run, `rows` every row ever recorded, including those that a
    resumed run has replaced, `exports` every exported video, and `decisions` everything that reviewers and rules
    decided. `DESCRIBE jobs` lists the columns. Queries are read-only and cannot access files or the network.

    Examples:

    - `troupe catalog sql "SELECT error_kind, count(*) FROM jobs WHERE status = 'failed' GROUP BY ALL"`
    - `troupe catalog sql "SELECT reviewer, review, count(*) FROM jobs WHERE review <> 'pending' GROUP BY ALL"`
    - `troupe catalog sql "SELECT tags['scene'], avg(quality_identity) FROM jobs GROUP BY ALL" --format csv`
    """
    from catalogs.query import sql as queries
    from catalogs.store.existing import open_existing

    result = queries.sql(open_existing(store), sys.stdin.read() if query == "-" else query, as_of=as_of)
    if format is not RowFormat.table:
        print_rows(result, format)
        return
    numeric = [
        field.name for field in result.schema if str(field.type).startswith(("int", "uint", "double", "decimal"))
    ]
    print_table(
        result.column_names,
        [[format_cell(value) for value in row.values()] for row in result.to_pylist()],
        right=numeric,
    )


@app.command()
@with_filters
def export(
    filters: dict[str, Any],
    file: Annotated[Path, typer.Argument(help="File to write: .parquet, .csv or .json.")],
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of rows.", show_default="all")] = None,
    excel: ExcelOption = False,
) -> None:
    """Write rows of the catalog, with all columns, to a file.

    To export the videos themselves, use `troupe export`.

    Examples:

    - `troupe catalog export all.parquet`
    - `troupe catalog export failed.csv --status failed --since 2026-11-01`
    """
    from catalogs.query import jobs as query
    from catalogs.store.existing import open_existing

    formats = {".parquet": RowFormat.parquet, ".csv": RowFormat.csv, ".json": RowFormat.json}
    if file.suffix.lower() not in formats:
        raise SettingsError(f"unknown file type {file}; use one of {', '.join(formats)}")
    opened = open_existing(store)
    rows = query.list_jobs(opened, limit=limit, as_of=as_of, **filters)
    if not len(rows):
        explain_empty(opened, filters, as_of)
    file.write_bytes(encode_rows(rows, formats[file.suffix.lower()], excel))
    stderr.print(f"{counted(len(rows), 'row')} written to {file}")


@app.command()
@with_filters
def stats(
    filters: dict[str, Any],
    store: StoreOption = DEFAULT_STORE,
    as_of: AsOfOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
    by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Show the work by tags.NAME, identity, language, run_id or another column."),
    ] = None,
    cost: Annotated[
        float | None,
        typer.Option(min=0, metavar="PRICE", help="Show what the work cost, at this price per worker hour."),
    ] = None,
) -> None:
    """Show counts, times and quality of the jobs in a store, and the state of its table.

    Examples:

    - `troupe catalog stats`
    - `troupe catalog stats --run latest --json`
    - `troupe catalog stats --by tags.customer --cost 2.50 --since 2026-11-01`
    """
    from dataclasses import asdict

    from catalogs.query.statistics import costs, statistics, table_state
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    if by is not None or cost is not None:
        groups = costs(opened, by, as_of=as_of, **filters)
        if not groups:
            explain_empty(opened, filters, as_of)
        elif by is not None and by.startswith("tags.") and all(group["group"] is None for group in groups):
            explain_empty(opened, {"tags": (by.removeprefix("tags."),)}, as_of)
        print_costs(groups, by, cost, as_json=as_json)
        return
    values, table = statistics(opened, as_of=as_of, **filters), table_state(opened)
    if not values["jobs"]:
        explain_empty(opened, filters, as_of)
    if as_json:
        print_json({**values, "table": asdict(table) if table else None})
        return
    lines = [
        (name.replace("_", " "), format_statistic(name, value)) for name, value in values.items() if value is not None
    ]
    if table is not None:
        lines.append(("table", f"version {table.version}, {table.files} files, {human_size(table.bytes)}"))
    print_table(("statistic", "value"), lines)
    if table is not None and table.small_files > TABLE_ROWS:
        stderr.print(f"{table.small_files} small files; {opened.command('catalog compact')} makes queries faster")


@app.command()
def compact(
    store: StoreOption = DEFAULT_STORE,
    z_order: Annotated[
        bool,
        typer.Option(
            "--z-order", help="Also rewrite the table so that rows of one identity are adjacent; slower, needs memory."
        ),
    ] = False,
) -> None:
    """Merge the catalog's small files, so that queries are faster.

    Safe while runs are live. The old files stay until `vacuum`, for open readers and for --as-of.

    Examples:

    - `troupe catalog compact`
    - `troupe catalog compact --store s3://bucket/troupe --z-order`
    """
    from catalogs.store.existing import open_existing
    from catalogs.table import compaction

    done = compaction.compact(open_existing(store), order=z_order)
    stderr.print(f"merged {counted(done.removed, 'file')} into {done.added}; the table is at version {done.version}")


@app.command()
def vacuum(
    store: StoreOption = DEFAULT_STORE,
    grace: Annotated[
        int, typer.Option(min=1, metavar="HOURS", help="Keep unused files that are younger than this.")
    ] = 168,
    dry_run: DryRunOption = False,
) -> None:
    """Delete files that the catalog no longer needs.

    Afterwards --as-of reaches back no further than the grace period.

    Examples:

    - `troupe catalog vacuum --dry-run`
    - `troupe catalog vacuum --grace 24`
    """
    from catalogs.store.existing import open_existing
    from catalogs.table import compaction

    files = compaction.vacuum(open_existing(store), timedelta(hours=grace), dry_run=dry_run)
    for file in files:
        typer.echo(file)
    stderr.print(f"{counted(len(files), 'file')} {'would be ' if dry_run else ''}deleted")

"""`troupe catalog`: what a store holds."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from flows.cli.console import print_table, stderr

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


@app.callback()  # keeps `ls` a command of its own, though there is no other
def catalog() -> None:
    """Look at what a store holds: a row for every job of every run."""


@app.command()
def ls(
    store: Annotated[str, typer.Option(help="Folder or bucket URL.", envvar="TROUPE_STORE")] = "troupe-store",
    status: Annotated[str | None, typer.Option(help="Only done, reused, failed or cancelled.")] = None,
    identity: Annotated[str | None, typer.Option(help="Only renders of this identity.")] = None,
    run: Annotated[
        str | None, typer.Option(help="Only this run's rows, by its run_id; `latest` is the last run.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many rows.", show_default=f"{SHOWN} for a table, all otherwise"),
    ] = None,
    format: Annotated[Format, typer.Option(help="A table of the main columns; JSON and CSV have all.")] = Format.table,
) -> None:
    """List what was made and what failed, the newest first.

    Examples:

    - `troupe catalog ls`
    - `troupe catalog ls --status failed --run latest`
    - `troupe catalog ls --store s3://bucket/troupe --identity ada --format csv > ada.csv`
    """
    from catalogs import query
    from catalogs.store import open_store

    place = open_store(store)
    run = query.latest_run(place) if run == "latest" else run
    select: dict[str, Any] = {"status": status, "identity": identity, "run": run}
    if format is Format.table:
        # One more than is shown tells whether there are more.
        rows = query.ls(place, **select, limit=(limit or SHOWN) + 1, columns=COLUMNS).to_pylist()
        _print_rows(rows[: limit or SHOWN])
        if not rows:
            stderr.print(f"the catalog of {store} has no such rows" if any(select.values()) else f"{store} is empty")
        elif limit is None and len(rows) > SHOWN:
            stderr.print(f"the newest {SHOWN}; --limit shows more")
        return
    table = query.ls(place, **select, limit=limit)
    if format is Format.json:
        typer.echo(query.to_json(table))
    else:
        typer.echo(query.to_csv(table), nl=False)


def _print_rows(rows: list[dict[str, Any]]) -> None:
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

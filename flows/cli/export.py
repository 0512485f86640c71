"""`troupe export`: copy finished videos under readable names."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.cli.console import stderr
from flows.cli.options import DEFAULT_STORE, ExcelOption, ExitCode, StoreOption, explain_empty, with_filters
from tasks.run.summary import counted
from troupe.errors import SettingsError

__all__ = ["export"]


@with_filters
def export(
    filters: dict[str, Any],
    what: Annotated[str, typer.Argument(help="A run_id, `latest`, `all`, or a SELECT over `jobs`.")],
    destination: Annotated[str, typer.Argument(metavar="DEST", help="Folder or bucket URL to copy to.")],
    store: StoreOption = DEFAULT_STORE,
    name: Annotated[
        str, typer.Option(help="File name template: columns in braces, `{tags.NAME}` for a tag.")
    ] = "{identity}/{job_id}.mp4",
    crop: Annotated[
        bool, typer.Option("--crop", help="Export the animated square where a job has both it and the full picture.")
    ] = False,
    posters: Annotated[bool, typer.Option("--posters", help="Export posters, too, as JPEG beside the videos.")] = False,
    excel: ExcelOption = False,
) -> None:
    """Export finished videos under readable names, with a manifest beside them.

    Safe to repeat: existing files are never overwritten, and videos exported before are skipped. The manifest keeps the
    rows of earlier exports into the folder. The store records every export: `troupe catalog sql "FROM exports"`.

    Exit code: 0 if all videos were exported, 3 if some are missing from the store, 2 for an invalid request.

    Examples:

    - `troupe export latest delivery`
    - `troupe export 20261124-061500-ab12 s3://client/videos --name "{identity}/{job_id}_{language}.mp4"`
    - `troupe export all best --min identity=0.7 --status done`
    - `troupe export "SELECT * FROM jobs WHERE tags['scene'] = '2'" scene2`
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from catalogs.export.deliver import deliver
    from catalogs.query import jobs as query
    from catalogs.query.sql import sql
    from catalogs.store.store import open_store

    source = open_store(store)
    selected: pa.Table | None = None
    if what.lstrip().lower().startswith(("select ", "with ", "from ")):
        selected = sql(source, what)
        if not {"run_id", "job_id"} <= set(selected.column_names):
            raise SettingsError("the query must select the columns run_id and job_id, which identify the videos")
    elif what != "all":
        filters = {**filters, "run": query.latest_run(source) if what == "latest" else what}
    rows = query.list_jobs(source, **filters)
    if selected is not None:
        wanted = set(zip(*(selected.column(c).to_pylist() for c in ("run_id", "job_id")), strict=True))
        keys = zip(*(rows.column(c).to_pylist() for c in ("run_id", "job_id")), strict=True)
        rows = rows.filter(pa.array([key in wanted for key in keys], pa.bool_()))
    rows = rows.filter(pc.field("status").isin(["done", "reused"]))
    if not len(rows):
        explain_empty(source, filters)
        raise SettingsError(f"no finished videos of {what} in {store} match; run `troupe catalog ls` to list jobs")
    done = deliver(source, rows, open_store(destination), name, crop=crop, posters=posters, excel=excel)
    for problem in done.missing:
        stderr.print(f"missing: {problem}")
    stderr.print(
        f"{counted(done.copied, 'video')} exported, {done.unchanged} already there, {len(done.missing)} missing"
    )
    typer.echo(done.manifest)
    if done.missing:
        raise typer.Exit(ExitCode.INCOMPLETE)

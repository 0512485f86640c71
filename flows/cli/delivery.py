"""`troupe export` and `troupe forget`: videos for others, and nothing any more of whom does not want it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.cli.console import print_table, stderr
from flows.cli.filters import STORE, with_filters
from troupe.errors import SettingsError

__all__ = ["export", "forget"]

SOME_MISSING = 3


@with_filters
def export(
    filters: dict[str, Any],
    what: Annotated[
        str, typer.Argument(help="A run_id, `latest`, `all`, or a SELECT over `jobs`.", show_default=False)
    ],
    destination: Annotated[str, typer.Argument(metavar="DEST", help="Folder or bucket URL.", show_default=False)],
    store: STORE = "troupe-store",
    name: Annotated[
        str, typer.Option(help="Names of the files: columns in braces, `{tags.NAME}` for a tag.")
    ] = "{identity}/{job_id}.mp4",
    crop: Annotated[
        bool, typer.Option("--crop", help="The animated square, where a job has the whole picture as well.")
    ] = False,
) -> None:
    """Deliver videos under readable names, with a manifest beside them.

    May be repeated: what was delivered already is left alone, and nothing is overwritten. Exit code: 3 if a video
    could not be had, 0 else.

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

    place = open_store(store)
    chosen: pa.Table | None = None
    if what.lstrip().lower().startswith(("select ", "with ", "from ")):
        chosen = sql(place, what)
        if not {"run_id", "job_id"} <= set(chosen.column_names):
            raise SettingsError("the question has to select run_id and job_id, so that it is known which videos")
    elif what != "all":
        filters = {**filters, "run": query.latest_run(place) if what == "latest" else what}
    rows = query.ls(place, **filters)
    if chosen is not None:
        wanted = set(zip(*(chosen.column(c).to_pylist() for c in ("run_id", "job_id")), strict=True))
        keys = zip(*(rows.column(c).to_pylist() for c in ("run_id", "job_id")), strict=True)
        rows = rows.filter(pa.array([key in wanted for key in keys], pa.bool_()))
    rows = rows.filter(pc.field("status").isin(["done", "reused"]))
    if not len(rows):
        raise SettingsError(f"{store} has no finished videos of {what} with these filters; see `troupe catalog ls`")
    done = deliver(place, rows, open_store(destination), name, crop=crop)
    for problem in done.missing:
        stderr.print(f"missing: {problem}")
    stderr.print(f"{done.put} videos delivered, {done.same} were there, {len(done.missing)} missing")
    typer.echo(done.manifest)
    if done.missing:
        raise typer.Exit(SOME_MISSING)


def forget(
    store: STORE = "troupe-store",
    identity: Annotated[str, typer.Option(help="The label of the person in the jobs files.", show_default=False)] = "",
    portrait: Annotated[
        str,
        typer.Option(help="A picture of the person, for jobs without a label.", show_default=False),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all renders of a person who withdrew the consent, and make none again.

    Recognised by the label and by every picture that ever had it. Deleted are the videos, their posters and the
    encoded portraits. The jobs stay in the catalog as `forgotten`, without pictures; older versions of the table name
    them until `troupe catalog vacuum`. A tombstone of hashes stays in the store: later runs refuse that label and
    these pictures. Copies that were exported are not found. Pictures that were given are the user's: delete them
    yourself.

    Examples:

    - `troupe forget --identity ada --dry-run`
    - `troupe forget --identity ada --store s3://bucket/troupe`
    - `troupe forget --portrait faces/ada.jpg --yes`
    """
    from catalogs import report
    from catalogs.requests.inputs import at_hand
    from catalogs.retention import forget as tombstones
    from catalogs.store.store import open_store
    from troupe.files import file_sha256

    place = open_store(store)
    picture = ""
    if portrait:
        with at_hand(portrait) as path:
            picture = file_sha256(path)
    found = tombstones.forget(place, identity, picture, dry_run=True)
    print_table(("run",), [(run,) for run in found.runs])
    stderr.print(f"{found.jobs} jobs in {len(found.runs)} runs, {found.files} files")
    if dry_run:
        return
    if not yes:
        typer.confirm(f"Delete these for good, and refuse {identity or portrait} from now on?", abort=True, err=True)
    done = tombstones.forget(place, identity, picture)
    for run in done.runs:
        report.write_report(place, run)
    stderr.print(f"{done.files} files deleted; {identity or portrait} will be refused")

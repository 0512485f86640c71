"""`troupe report`: the page that shows a run."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.filters import STORE
from troupe.errors import SettingsError

__all__ = ["report"]


def report(
    run: Annotated[str, typer.Argument(help="The run's run_id, or `latest`.", show_default=False)],
    store: STORE = "troupe-store",
) -> None:
    """Write the page that shows a run, and print where it is.

    Every run ends with one; this writes it anew, from what the catalog knows now. One HTML file, to be opened from
    the folder or served by the bucket as a static page: it needs no server and no network. Videos and pictures are
    the store's own, beside it.

    Examples:

    - `troupe report latest`
    - `troupe report 20261124-061500-ab12 --store s3://bucket/troupe`
    """
    from catalogs.query.jobs import latest_run, ls
    from catalogs.report import write_report
    from catalogs.store.store import open_store
    from catalogs.table.manifest import write_manifest

    place = open_store(store)
    run_id = latest_run(place) if run == "latest" else run
    if run_id is None or not ls(place, run=run_id, limit=1, columns=["run_id"]).num_rows:
        raise SettingsError(f"{store} has no run {run}; `troupe catalog ls` shows which there are")
    write_manifest(place, run_id)
    typer.echo(place.uri(write_report(place, run_id)))

"""`troupe report`: write the HTML report of a run."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.options import DEFAULT_STORE, StoreOption
from troupe.errors import SettingsError

__all__ = ["report"]


def report(
    run: Annotated[str, typer.Argument(help="A run_id or `latest`.")],
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Write the HTML report of a run and print its location.

    Every run ends by writing its report; this command rewrites it from the current catalog. It is one HTML file, to be
    opened from the folder or served by the bucket as a static page, and links to the videos and pictures in the store.

    Examples:

    - `troupe report latest`
    - `troupe report 20261124-061500-ab12 --store s3://bucket/troupe`
    """
    from catalogs.query.jobs import latest_run, list_jobs
    from catalogs.report import write_report
    from catalogs.store.existing import open_existing
    from catalogs.table.manifest import write_manifest

    opened = open_existing(store)
    run_id = latest_run(opened) if run == "latest" else run
    if run_id is None or not list_jobs(opened, run=run_id, limit=1, columns=["run_id"]).num_rows:
        raise SettingsError(f"no run {run} in {store}; {opened.command('runs')} lists its runs")
    write_manifest(opened, run_id)
    typer.echo(opened.uri(write_report(opened, run_id)))

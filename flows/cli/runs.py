"""`troupe runs` and `troupe retry`: what ran in a store, and what failed in it once more."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.run import exit_code, perform
from troupe.errors import SettingsError

if TYPE_CHECKING:
    from catalogs.table.runs import RunInfo

__all__ = ["retry", "runs"]

Store = Annotated[str, typer.Option(help="Folder or bucket URL.", envvar="TROUPE_STORE")]


def runs(
    store: Store = "troupe-store",
    live: Annotated[bool, typer.Option("--live", help="Only those that run now.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="The latest N.")] = 20,
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.table,
) -> None:
    """List the runs of a store, the latest first, with their state.

    running · done · failed: over, with failed jobs · stopped: before all jobs were done · broken: ended by an error ·
    lost: it said nothing for minutes, so its process or machine is gone. `troupe run ... --run-id RUN` goes on with
    a stopped, broken or lost run; `troupe retry RUN` does the failed jobs again.

    Examples:

    - `troupe runs`
    - `troupe runs --live --store s3://bucket/troupe`
    """
    from catalogs.store.store import open_store
    from catalogs.table.runs import list_runs

    found = list_runs(open_store(store))
    found = [run for run in found if run.live or not live][:limit]
    if format is Format.json:
        print_json([asdict(run) for run in found])
        return
    print_table(
        ("started (UTC)", "run", "state", "jobs", "done", "reused", "failed", "where", "note"),
        (_cells(run) for run in found),
        right=("jobs", "done", "reused", "failed"),
    )
    if not found:
        stderr.print(f"{store} has no {'live ' if live else ''}runs")


def _cells(run: RunInfo) -> tuple[str, ...]:
    counts = (str(run.counts.get(status, 0)) for status in ("done", "reused", "failed"))
    note = run.note if run.state in ("broken", "stopped") else f"last heard of at {run.updated_at:%H:%M:%S}"
    return f"{run.started_at:%Y-%m-%d %H:%M}", run.run_id, run.state, str(run.jobs), *counts, run.where, note


def retry(
    run: Annotated[str, typer.Argument(help="The run's name; `latest` is the last one.")],
    store: Store = "troupe-store",
    failed_kind: Annotated[
        list[str] | None,
        typer.Option(help="Only jobs that failed with this kind of error, such as no_face; may be repeated."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Other weights than the run had.", envvar="TROUPE_WEIGHTS")
    ] = None,
    detector: Annotated[str | None, typer.Option(help="Another detector than the run had.")] = None,
    local: Annotated[bool, typer.Option("--local", help="In this process, without Prefect and Ray.")] = False,
) -> None:
    """Do the failed jobs of a run again, after what made them fail is mended; its manifest then tells of both.

    Everything else is as it was in that run. Exit code: as `troupe run`.

    Examples:

    - `troupe retry latest`
    - `troupe retry nightly-7 --failed-kind missing_input --failed-kind store`
    """
    from catalogs.store.store import open_store
    from catalogs.table.runs import list_runs, read_run
    from tasks.run.request import Request

    place = open_store(store)
    if run == "latest":
        found = list_runs(place, 1)
        if not found:
            raise SettingsError(f"{store} has no runs")
        run = found[0].run_id
    before = read_run(place, run)
    if before.live:
        raise SettingsError(f"run {run} is still running, at {before.where}; wait for its end, or stop it")
    names = Request.__dataclass_fields__.keys()
    parameters: dict[str, Any] = {name: value for name, value in before.request.items() if name in names}
    other = {"weights": weights, "detector": detector}
    parameters |= {name: value for name, value in other.items() if value is not None}
    request = Request(**parameters | {"store": store, "run_id": run, "retry": tuple(failed_kind or ())})
    if not request.job_list:
        stderr.print(f"run {run} has no failed jobs")
        return
    raise typer.Exit(exit_code(perform(request, local=local)))

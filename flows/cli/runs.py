"""`troupe runs` and `troupe retry`: list the runs of a store, and retry failed jobs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.options import DEFAULT_STORE, AllowInputOption, FormatOption, LocalOption, StoreOption
from flows.cli.run import exit_code, perform
from troupe.errors import SettingsError

if TYPE_CHECKING:
    from catalogs.table.runs import RunInfo

__all__ = ["retry", "runs"]


def runs(
    store: StoreOption = DEFAULT_STORE,
    live: Annotated[bool, typer.Option("--live", help="Show only runs that are live.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Show only the latest N runs.")] = 20,
    format: FormatOption = Format.table,
) -> None:
    """List the runs of a store and their state, latest first.

    - `running`
    - `completed`: every job ended; the columns count how
    - `cancelled`: stopped before all jobs were finished
    - `failed`: could not be carried out; the note has the reason
    - `crashed`: no heartbeat for minutes, so the process or machine is gone

    These are also the states of their flow runs in Prefect. `troupe run ... --run-id RUN` resumes a cancelled, failed
    or crashed run. `troupe retry RUN` retries its failed jobs.

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
        stderr.print(f"no {'live ' if live else ''}runs in {store}")


def _cells(run: RunInfo) -> tuple[str, ...]:
    counts = (str(run.counts.get(status, 0)) for status in ("done", "reused", "failed"))
    note = f"last heartbeat at {run.updated_at:%H:%M:%S}" if run.state in ("running", "crashed") else run.note
    return f"{run.started_at:%Y-%m-%d %H:%M}", run.run_id, run.state, str(run.jobs), *counts, run.where, note


def retry(
    run: Annotated[str, typer.Argument(help="A run_id or `latest`.")],
    store: StoreOption = DEFAULT_STORE,
    failed_kind: Annotated[
        list[str] | None,
        typer.Option(help="Retry only jobs that failed with this kind of error, such as no_face; may be repeated."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Weights directory or URL.", envvar="TROUPE_WEIGHTS", show_default="those of the run"),
    ] = None,
    detector: Annotated[str | None, typer.Option(help="Face detector.", show_default="that of the run")] = None,
    allow_input: AllowInputOption = None,
    local: LocalOption = False,
) -> None:
    """Retry the failed jobs of a run, after their cause is fixed.

    All other settings are those of the run. The results go into the run's manifest and report. Exit codes are those
    of `troupe run`.

    Examples:

    - `troupe retry latest`
    - `troupe retry nightly-7 --failed-kind missing_input --failed-kind store`
    - `troupe retry latest --failed-kind not_allowed --allow-input /data/clips`
    """
    from catalogs.requests.access.input_policy import ANY_PUBLIC
    from catalogs.store.store import open_store
    from catalogs.table.runs import list_runs, read_run
    from tasks.run.heartbeat import refuse_living
    from tasks.run.request import Request

    opened = open_store(store)
    if run == "latest":
        found = list_runs(opened, 1)
        if not found:
            raise SettingsError(f"no runs in {store}")
        run = found[0].run_id
    before = read_run(opened, run)
    refuse_living(opened, run)
    names = Request.__dataclass_fields__.keys()
    parameters: dict[str, Any] = {name: value for name, value in before.request.items() if name in names}
    overrides = {"weights": weights, "detector": detector}
    parameters |= {name: value for name, value in overrides.items() if value is not None}
    # Those of a scheduled run are fewer than those of a run that a person starts.
    parameters["allow_input"] = (*parameters.get("allow_input", ANY_PUBLIC), *(allow_input or ()))
    request = Request(**parameters | {"store": store, "run_id": run, "retry": tuple(failed_kind or ())})
    if not request.job_list:
        stderr.print(f"run {run} has no failed jobs to retry")
        return
    raise typer.Exit(exit_code(perform(request, local=local)))

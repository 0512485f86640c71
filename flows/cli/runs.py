"""`troupe runs` and `troupe retry`: list the runs of a store, and retry failed jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.options import DEFAULT_STORE, AllowInputOption, FormatOption, LocalOption, StoreOption
from flows.cli.run import exit_code, perform
from troupe.errors import SettingsError

if TYPE_CHECKING:
    from catalogs.store.store import Store
    from catalogs.table.runs import RunInfo

__all__ = ["retry", "runs"]

COUNTS = ("done", "reused", "failed", "cancelled")
"""Columns with numbers of jobs by status."""


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
    - `crashed`: its process is gone; that of another machine, once it had no heartbeat for two minutes

    These are also the states of their flow runs in Prefect. `troupe run ... --run-id RUN` resumes a cancelled, failed
    or crashed run. `troupe retry RUN` retries its failed jobs.

    Examples:

    - `troupe runs`
    - `troupe runs --live --store s3://bucket/troupe`
    """
    from catalogs.store.existing import open_existing
    from catalogs.table.runs import list_runs, live_runs

    opened = open_existing(store)
    found = live_runs(opened)[:limit] if live else list_runs(opened, limit)
    if format is Format.json:
        print_json([asdict(run) for run in found])
        return
    print_table(
        ("started (UTC)", "run", "state", "jobs", *COUNTS, "where", "note"),
        (_cells(run) for run in found),
        right=("jobs", *COUNTS),
    )
    if not found:
        stderr.print(f"no {'live ' if live else ''}runs in {store}")


def _cells(run: RunInfo) -> tuple[str, ...]:
    counts = (str(run.counts.get(status, 0)) for status in COUNTS)
    heartbeat = f"last heartbeat at {run.updated_at:%H:%M:%S}" if run.state in ("running", "crashed") else ""
    note = ", ".join(part for part in ("" if run.live else run.note, heartbeat) if part)
    note = note.removeprefix(f"run {run.run_id}: ")
    return f"{run.started_at:%Y-%m-%d %H:%M}", run.run_id, run.state, str(run.jobs), *counts, run.where, note


def retry(
    run: Annotated[
        str | None, typer.Argument(help="A run_id or `latest`.", show_default="with --rejected, all runs")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Make films again that were rejected in review, with other seeds.")
    ] = False,
    seed_step: Annotated[int, typer.Option(min=0, help="With --rejected: number that is added to the seed.")] = 1,
    preset: Annotated[
        str | None, typer.Option(help="With --rejected: preset of the new films.", show_default="that of the film")
    ] = None,
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
    """Retry the failed jobs of a run, after their cause is fixed, or the films that were rejected in review.

    All other settings are those of the run. The results go into the run's manifest and report. Exit codes are those
    of `troupe run`.

    With `--rejected`, new runs make the rejected films again, each with the next seed that no job like it has had (and
    `--preset exact` instead of a draft's, for example). The old films and rows stay; column `replaces` of the new rows
    has the key of the film that they are to replace, and `troupe catalog show JOB` lists all attempts. A film that was
    replaced is not made again, unless its replacement is rejected, too.

    Examples:

    - `troupe retry latest`
    - `troupe retry nightly-7 --failed-kind missing_input --failed-kind store`
    - `troupe retry latest --failed-kind not_allowed --allow-input /data/clips`
    - `troupe retry --rejected`
    - `troupe retry latest --rejected --preset exact`
    """
    from catalogs.requests.access.input_policy import ANY_PUBLIC
    from catalogs.store.existing import open_existing
    from catalogs.table.runs import list_runs, read_run
    from tasks.run.heartbeat import refuse_living
    from tasks.run.request import Request

    if not rejected and (seed_step != 1 or preset is not None):
        raise SettingsError("--seed-step and --preset are for rejected films; add --rejected")
    if rejected and failed_kind:
        raise SettingsError("--failed-kind is for failed jobs; leave out --rejected, or retry them separately")
    if run is None and not rejected:
        raise SettingsError("name a run, or `latest`; --rejected needs none")
    opened = open_existing(store)
    if run == "latest":
        found = list_runs(opened, 1)
        if not found:
            raise SettingsError(f"no runs in {store}")
        run = found[0].run_id
    overrides = {"weights": weights, "detector": detector}
    if rejected:
        _retry_rejected(opened, run, seed_step, preset, overrides, allow_input or (), local=local)
        return
    assert run is not None
    before = read_run(opened, run)
    refuse_living(opened, run)
    names = Request.__dataclass_fields__.keys()
    parameters: dict[str, Any] = {name: value for name, value in before.request.items() if name in names}
    parameters |= {name: value for name, value in overrides.items() if value is not None}
    # Those of a scheduled run are fewer than those of a run that a person starts.
    parameters["allow_input"] = (*parameters.get("allow_input", ANY_PUBLIC), *(allow_input or ()))
    request = Request(**parameters | {"store": store, "run_id": run, "retry": tuple(failed_kind or ())})
    resume = f"give its own command with --run-id {run} to resume it" if before.state != "completed" else ""
    if not before.jobs or not request.job_list:  # refused, or nothing failed
        stderr.print(f"run {run} has no failed jobs to retry, and is {before.state}{resume and f'; {resume}'}")
        return
    summary = perform(request, local=local)
    if resume:
        stderr.print(f"run {run} was {before.state} before all its jobs were done: {resume}")
    raise typer.Exit(exit_code(summary))


def _retry_rejected(
    store: Store,
    run: str | None,
    seed_step: int,
    preset: str | None,
    overrides: Mapping[str, Any],
    allow_input: Sequence[str],
    *,
    local: bool,
) -> None:
    """Make rejected films again, in one run for each set of settings."""
    from tasks.run.requests.replace_rejected import replacement_requests

    with replacement_requests(
        store, run, seed_step=seed_step, preset=preset, overrides=overrides, allow_input=allow_input
    ) as requests:
        if not requests:
            stderr.print(f"{f'run {run}' if run else store.url} has no rejected films that nothing replaces yet")
        codes = [exit_code(perform(request, local=local)) for request in requests]
    if any(codes):
        raise typer.Exit(max(codes))

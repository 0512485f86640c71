"""`troupe plan`: estimate frames, time and cost of a request."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.options import ExitCode, FormatOption, with_request
from flows.cli.run_options import requested, with_run_options
from troupe.wording import counted

if TYPE_CHECKING:
    from tasks.run.estimate import Estimate

__all__ = ["plan"]

SHOWN_PROBLEMS = 10


@with_request
@with_run_options
def plan(
    parameters: dict[str, Any],
    options: dict[str, Any],
    price: Annotated[float | None, typer.Option(min=0, help="Price per worker hour, in any currency.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Estimate a run without starting it: identities, clips, frames, reused results, hours and cost.

    It takes the options of `troupe run`: to plan a run, replace that word. Without --workers, hours are those of one
    worker.

    Inputs are read once to compute their hashes. Hours are based on earlier jobs in the store's catalog with the same
    preset and, if there are any, the same weights; on GPUs, where jobs of a worker overlap, they are an upper bound.
    For a new store, render a few jobs with `troupe run --limit 3` first.

    Exit code: 0, 3 if some jobs would fail, 2 for an invalid request.

    Examples:

    - `troupe plan jobs.csv --weights weights`
    - `troupe plan jobs.csv --weights weights --store s3://bucket/troupe --workers 8 --price 2.50`
    """
    from catalogs.store.store import open_store
    from flows.observe.progress import console_waiting
    from tasks.run.requests.check_request import check_request

    request, workers = requested(parameters, options), options["workers"] or 1
    with console_waiting(stderr, "reading the inputs"):
        check_request(request, write=False)
        from tasks.run.estimate import estimate
        from tasks.run.inputs.model import Model

        model = Model.at(request.weights, request.detector, request.dtype)
        estimated = estimate(request.job_list, open_store(request.store), model, request.policy)
    for file in request.left_out:
        typer.echo(f"left out {file}", err=True)
    if format is Format.json:
        hours = estimated.hours
        cost = None if hours is None or price is None else hours * price
        times = {"worker_hours": hours, "run_hours": hours and hours / workers, "cost": cost}
        print_json(asdict(estimated) | {"counts": estimated.counts} | times)
    else:
        _print(estimated, workers, price)
    if estimated.problems:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _format_hours(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 10 else f"{60 * hours:,.1f} min"


def _print(estimated: Estimate, workers: int, price: float | None) -> None:
    made = f"{counted(estimated.pictures, 'picture')} to render, {counted(estimated.films, 'film')} to make"
    rows = [
        ("jobs", f"{estimated.jobs:,}", f"{made}, {estimated.reused:,} reused"),
        ("identities", f"{estimated.identities[0]:,}", f"{counted(estimated.identities[1], 'portrait')} to encode"),
        ("clips", f"{estimated.clips[0]:,}", f"{estimated.tracks[1]:,} to track, {estimated.clips[1]:,} to encode"),
    ]
    if estimated.lips[0]:
        rows.append(("lips by sound", f"{estimated.lips[0]:,}", f"{estimated.lips[1]:,} to encode"))
    for preset, frames in estimated.frames.items():
        basis = estimated.basis.get(preset)
        pace = "no finished job with this preset in this store to estimate hours from"
        if basis:
            weights = "these weights" if basis.same_weights else "other weights"
            pace = f"{basis.seconds_a_frame:.3g} s per frame, from {basis.jobs:,} jobs with {weights} on {basis.device}"
        rows.append((f"frames, {preset}", f"{frames:,}", pace))
    if (hours := estimated.hours) is not None:
        on_gpu = any(basis.device != "cpu" for basis in estimated.basis.values())
        rows.append(
            (
                "worker time, at most" if on_gpu else "worker time",
                _format_hours(hours),
                f"{_format_hours(hours / workers)} with {counted(workers, 'busy worker')}",
            )
        )
        if price is not None:
            rows.append(("cost", f"{hours * price:,.2f}", f"at {price:g} per worker hour"))
    if estimated.problems:
        rows.append(("problems", f"{len(estimated.problems):,}", "jobs that would fail"))
    print_table(("what", "number", "details"), rows, right=("number",))
    for found in (estimated.problems, {job_id: "; ".join(notes) for job_id, notes in estimated.notes.items()}):
        for job_id, text in list(found.items())[:SHOWN_PROBLEMS]:
            stderr.print(f"{job_id}: {text}")
        if len(found) > SHOWN_PROBLEMS:
            stderr.print("... and more; --format json lists all")

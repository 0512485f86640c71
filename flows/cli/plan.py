"""`troupe plan`: what a request would take, without doing any of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.model import chosen_weights
from flows.cli.run import cells, seconds

if TYPE_CHECKING:
    from tasks.run.estimate import Estimate

__all__ = ["plan"]

SHOWN = 10


def plan(
    jobs: Annotated[
        str | None, typer.Argument(help="Jobs file: CSV, JSONL or Parquet, a path or URL.", show_default=False)
    ] = None,
    portraits: Annotated[str | None, typer.Option(help="Folder of pictures, instead of a jobs file.")] = None,
    drivings: Annotated[str | None, typer.Option(help="Folder of driving clips.")] = None,
    store: Annotated[
        str, typer.Option(help="Folder or bucket URL with the caches and the catalog.", envvar="TROUPE_STORE")
    ] = "troupe-store",
    weights: Annotated[str | None, typer.Option(help="Weights directory or URL.", envvar="TROUPE_WEIGHTS")] = None,
    detector: Annotated[str | None, typer.Option(help="Face detector instead of the weights' own.")] = None,
    preset: Annotated[str | None, typer.Option(help="For jobs that name none: exact, draft or sketch.")] = None,
    seed: Annotated[int | None, typer.Option(help="For jobs that name none.")] = None,
    output: Annotated[str | None, typer.Option(help="For jobs that name none: full, crop or both.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N jobs.")] = None,
    preview: Annotated[
        float | None, typer.Option(parser=seconds, metavar="SECONDS", help="Only the start of every clip.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="As the run's.")] = "auto",
    workers: Annotated[int, typer.Option(min=1, help="Animators of the run, usually one a GPU.")] = 1,
    price: Annotated[float | None, typer.Option(min=0, help="Of one worker's hour, in any currency.")] = None,
    format: Annotated[Format, typer.Option(help="How to print it.")] = Format.table,
) -> None:
    """Say what a run would take: identities, clips, frames, what is reused, hours and cost. Nothing is made.

    Inputs are read once to know their content. Hours come from the pace of earlier jobs with the same preset, and
    the same weights where there are such, in the store's catalog; try a few with `troupe run --limit 3` first.

    Examples:

    - `troupe plan jobs.csv --weights weights`
    - `troupe plan jobs.csv --weights weights --store s3://bucket/troupe --workers 8 --price 2.50`
    """
    weights = chosen_weights(weights)
    from pathlib import Path

    from catalogs.store.store import open_store
    from catalogs.store.uris import absolute
    from tasks.run.estimate import estimate
    from tasks.run.request import Request
    from tasks.weights.local_copy import local_file, local_weights

    request = Request(
        store=store,
        weights=weights,
        jobs=jobs,
        portraits=portraits,
        drivings=drivings,
        defaults=cells(preset=preset, seed=seed, output=output),
        limit=limit,
        preview=preview,
    )
    found = estimate(
        request.job_list,
        open_store(store),
        local_weights(absolute(weights, str(Path.cwd()))),
        local_file(absolute(detector, str(Path.cwd()))) if detector else None,
        dtype,
    )
    if format is Format.json:
        hours = found.hours
        cost = None if hours is None or price is None else hours * price
        print_json(asdict(found) | {"worker_hours": hours, "run_hours": hours and hours / workers, "cost": cost})
    else:
        _print(found, workers, price)


def _time(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 10 else f"{60 * hours:,.1f} min"


def _print(found: Estimate, workers: int, price: float | None) -> None:
    rows = [
        ("jobs", f"{found.jobs:,}", f"{found.renders:,} to render, {found.reused:,} reused"),
        ("identities", f"{found.identities[0]:,}", f"{found.identities[1]:,} to encode"),
        ("clips", f"{found.clips[0]:,}", f"{found.tracks[1]:,} to track, {found.clips[1]:,} to encode"),
    ]
    for preset, frames in found.frames.items():
        basis = found.basis.get(preset)
        pace = "no job of this preset was ever done in this store: no basis for hours"
        if basis:
            of = "these weights" if basis.same_weights else "other weights"
            pace = f"{basis.seconds_a_frame:.3g} s each, from {basis.jobs:,} jobs with {of} on {basis.device}"
        rows.append((f"frames, {preset}", f"{frames:,}", pace))
    if (hours := found.hours) is not None:
        rows.append(("worker time", _time(hours), f"{_time(hours / workers)} with {workers} of them, well filled"))
        if price is not None:
            rows.append(("cost", f"{hours * price:,.2f}", f"at {price:g} an hour of a worker"))
    if found.problems:
        rows.append(("problems", f"{len(found.problems):,}", "jobs that would fail"))
    print_table(("what", "number", "of it"), rows, right=("number",))
    for job_id, problem in list(found.problems.items())[:SHOWN]:
        stderr.print(f"{job_id}: {problem}")
    if len(found.problems) > SHOWN:
        stderr.print("... and more: --format json names all")

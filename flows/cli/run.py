"""`troupe run`: a jobs file, or two folders, becomes videos and a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import console, print_table, stderr
from flows.cli.filters import bound
from flows.cli.model import chosen_weights

if TYPE_CHECKING:
    from tasks.run.request import Request
    from tasks.run.summary import Summary

__all__ = ["perform", "run"]

SOME_FAILED = 3
CANCELLED = 130
SHOWN = 20


def seconds(text: str) -> float:
    """`2`, `2.5` or `2s`."""
    try:
        value = float(text.removesuffix("s"))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number of seconds; try 2s") from None
    if not 0 < value < float("inf"):
        raise typer.BadParameter("must be more than 0 seconds")
    return value


UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """`30`, `30s`, `90m` or `8h`, in seconds."""
    unit = text[-1:] if text[-1:] in UNITS else ""
    return seconds(text.removesuffix(unit)) * UNITS.get(unit, 1.0)


def cells(**values: str | int | None) -> dict[str, str]:
    """What was given, by column, for jobs whose file has none."""
    return {name: str(value) for name, value in values.items() if value is not None}


def run(
    jobs: Annotated[
        str | None, typer.Argument(help="Jobs file: CSV, JSONL or Parquet, a path or URL.", show_default=False)
    ] = None,
    portraits: Annotated[
        str | None, typer.Option(help="Folder of pictures, instead of a jobs file: every one acts every clip.")
    ] = None,
    drivings: Annotated[str | None, typer.Option(help="Folder of driving clips.")] = None,
    store: Annotated[
        str, typer.Option(help="Folder or bucket URL for results and caches.", envvar="TROUPE_STORE")
    ] = "troupe-store",
    weights: Annotated[
        str | None,
        typer.Option(
            help="Weights directory; see `troupe weights`.",
            envvar="TROUPE_WEIGHTS",
            show_default="the miniature that comes with troupe",
        ),
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Face detector (SCRFD .onnx or YOLOv5-face .pt) instead of the weights' own.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="For jobs that name none: exact (released), draft (fewer steps) or sketch (few, unguided)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="For jobs that name none.")] = None,
    output: Annotated[
        str | None, typer.Option(help="For jobs that name none: full (pasted back), crop or both.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N jobs.")] = None,
    preview: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="SECONDS", help="Only the start of every clip, such as 2s."),
    ] = None,
    require_consent: Annotated[
        bool, typer.Option("--require-consent", help="Refuse jobs without a consent reference.")
    ] = False,
    min_identity: Annotated[
        float | None, typer.Option(help="Flag renders less similar to their portrait, such as 0.5.", show_default=False)
    ] = None,
    max_quality: Annotated[
        list[Any] | None,
        typer.Option(
            "--max",
            parser=bound,
            metavar="NAME=NUMBER",
            help="Flag renders with more landmarks, expression, pose or flicker.",
            show_default=False,
        ),
    ] = None,
    fail_quality: Annotated[
        bool, typer.Option("--fail-quality", help="Such jobs fail, with error_kind quality; else only flagged.")
    ] = False,
    local: Annotated[
        bool, typer.Option("--local", help="In this process, without Prefect and Ray: for a quick look.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    compile: Annotated[
        bool, typer.Option("--compile", help="Let torch compile the denoiser: slow to start, then faster.")
    ] = False,
    gpu_memory: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="GIB", help="Take no more of a GPU, such as 12.", show_default="all that the GPU reports"
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(help="Name of the run; made from date and time by default. An earlier one goes on.")
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Work on the Ray cluster that this machine is part of: auto or HOST:PORT.", envvar="TROUPE_RAY"
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Animators; by default one a GPU, else one for every four cores.")
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(parser=duration, metavar="TIME", help="Begin no job after that long, such as 90m or 8h."),
    ] = None,
) -> None:
    """Animate portraits: from a jobs file to videos and a manifest.

    A jobs file has a row a video. Only `portrait` and `driving` are needed; `job_id`, `identity`, `face`, `start`,
    `end`, `audio`, `output`, `fps`, `gaps` (hold, cut, fail), `crop` (first, follow), `blend` (seamless, reference),
    `quality`, `master`, `preset`, `seed` and more are optional. What exists already is reused, so running again is
    safe and continues where a run was stopped; with its --run-id, into the same manifest.

    Exit code: 0 if every job ended done or reused, 3 if some failed, 2 for a bad request, 130 if stopped.

    TROUPE_LOG=json in the environment logs a JSON object a line; TROUPE_METRICS=PORT serves numbers for Prometheus.

    Examples:

      troupe run --portraits faces --drivings clips

      troupe run jobs.csv --weights weights

      troupe run --portraits faces --drivings clips --weights weights --store s3://bucket/troupe

      troupe run jobs.csv --weights weights --limit 3 --preview 2s --preset draft
    """
    options = locals()
    from tasks.run.request import Request

    request = Request.from_parameters(
        options
        | {
            "weights": chosen_weights(weights),
            "defaults": cells(preset=preset, seed=seed, output=output),
            "max_quality": dict(max_quality or ()),
        }
    )
    raise typer.Exit(exit_code(perform(request, local=local)))


def perform(request: Request, *, local: bool) -> Summary:
    """Carry the request out with progress on the terminal, and print how it ended.

    Raises:
        TroupeError: the request cannot be carried out as it is; told before anything is started where possible.
    """
    from flows.observe.progress import console_listener, listening, watched
    from troupe.signals import stoppable

    request.job_list  # noqa: B018 (an invalid request fails here, before anything starts)
    with stoppable(), watched(lambda: console_listener(stderr)) as listener, listening(listener):
        if local:
            from flows.local import animate_locally

            summary = animate_locally(request)
        else:
            listener.note("starting Prefect")
            from flows.animate import animate_here

            summary = animate_here(request)
        listener.note(summary.line())
    show(request, summary)
    return summary


def show(request: Request, summary: Summary) -> None:
    """Where the results are, and what failed."""
    from tasks.run.results import results

    rows = results(request.store, summary.run_id, SHOWN)
    print_table(("job", "status", "frames", "video or error"), [(r.job_id, r.status, r.frames, r.what) for r in rows])
    if sum(summary.counts.values()) > len(rows):
        stderr.print(f"... and more: troupe catalog ls --store {request.store} --run {summary.run_id}")
    stderr.print(f"report: {summary.report}")
    console.print(summary.manifest)


def exit_code(summary: Summary) -> int:
    """0 if every job ended done or reused."""
    if summary.counts.get("cancelled"):
        return CANCELLED
    return SOME_FAILED if summary.counts.get("failed") else 0

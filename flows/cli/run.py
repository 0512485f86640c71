"""`troupe run`: animate portraits, from a jobs file or two folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.console import console, print_table, stderr
from flows.cli.options import (
    AllowInputOption,
    DeviceOption,
    DtypeOption,
    ExitCode,
    LocalOption,
    with_request,
)
from flows.cli.parsing import parse_bound, parse_duration
from troupe.errors import SettingsError

if TYPE_CHECKING:
    from tasks.run.request import Request
    from tasks.run.summary import Summary

__all__ = ["perform", "run"]

SHOWN_JOBS = 20


@with_request
def run(
    parameters: dict[str, Any],
    require_consent: Annotated[
        bool, typer.Option("--require-consent", help="Refuse jobs without a consent reference.")
    ] = False,
    require_signature: Annotated[
        bool, typer.Option("--require-signature", help="Refuse to run without a signer: publish nothing unsigned.")
    ] = False,
    min_identity: Annotated[
        float | None, typer.Option(help="Flag renders whose similarity to the portrait is lower, such as 0.5.")
    ] = None,
    max_quality: Annotated[
        list[Any] | None,
        typer.Option(
            "--max",
            parser=parse_bound,
            metavar="NAME=NUMBER",
            help="Flag videos with a higher value of landmarks, expression, pose, flicker, sync_lse_d or, either way, "
            "sync_offset_frames; may be repeated.",
        ),
    ] = None,
    syncnet: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="SyncNet (TorchScript) that measures new films: columns sync_lse_c and sync_lse_d."
        ),
    ] = None,
    fail_quality: Annotated[
        bool, typer.Option("--fail-quality", help="Fail flagged jobs, with error_kind quality.")
    ] = False,
    local: LocalOption = False,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the denoiser with torch: slower to start, then faster.")
    ] = False,
    gpu_memory: Annotated[
        float | None,
        typer.Option(
            min=1, metavar="GIB", help="Use at most this much memory per GPU, such as 12.", show_default="all of it"
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            help="Name of the run. The name of an earlier run resumes that run.", show_default="from date and time"
        ),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            help="Ray cluster to run on, which this machine is a node of: auto or HOST:PORT.", envvar="TROUPE_RAY"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of render workers.", show_default="one per GPU, without GPUs one per four cores"
        ),
    ] = None,
    stop_after: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration, metavar="TIME", help="Stop starting jobs after this long, such as 90m or 8h."
        ),
    ] = None,
    allow_input: AllowInputOption = None,
) -> None:
    """Animate portraits: from a jobs file to videos and a manifest.

    A jobs file has one row per video. Only `portrait` and `driving` are required; `job_id`, `identity`, `face`,
    `start`, `end`, `audio`, `languages`, `fit`, `loudness`, `subtitles`, `output`, `fps`, `gaps` (hold, cut, fail),
    `crop` (first, follow), `blend` (seamless, reference), `quality`, `master`, `label`, `watermark`, `lips`, `preset`,
    `seed`
    and others are optional; see docs/jobs.md. Videos that differ in sound and subtitles only are rendered once; see
    docs/dubbing.md.

    Existing results are reused: run the same command again to resume a stopped run, with its --run-id to write into
    the same manifest.

    Exit code: 0 if every job ended done or reused, 3 if some failed, 2 for an invalid request, 130 if stopped.

    Set TROUPE_LOG=json to log one JSON object per line, and TROUPE_METRICS=PORT to serve metrics for Prometheus.

    Examples:

    - `troupe run --portraits faces --drivings clips`
    - `troupe run jobs.csv --weights weights`
    - `troupe run --portrait ada.jpg --driving welcome.mp4 --audio 'dubs/welcome.{language}.wav' --weights weights`
    - `troupe run --portraits faces --drivings clips --weights weights --store s3://bucket/troupe`
    - `troupe run jobs.csv --weights weights --limit 3 --preview 2s --preset draft`
    """
    options = locals()
    from catalogs.requests.access.input_policy import ANY_PUBLIC
    from tasks.run.request import Request

    request = Request.from_parameters(
        options
        | parameters
        | {"max_quality": dict(max_quality or ()), "allow_input": (*ANY_PUBLIC, *(allow_input or ()))}
    )
    raise typer.Exit(exit_code(perform(request, local=local)))


def perform(request: Request, *, local: bool) -> Summary:
    """Carry out a request with progress on the terminal, and print its results.

    Raises:
        TroupeError: the request cannot be carried out; raised before anything is started where possible.
    """
    from flows.observe.job_control import acknowledging
    from flows.observe.prefect_console import use_console_handler
    from flows.observe.progress import configured_listener, console_listener, use_listener
    from tasks.run.requests.check_request import check_request
    from troupe.process.signals import stoppable

    if local and request.ray_address:
        raise SettingsError("--local runs in this process, without Ray; give --local or --ray-address, not both")
    check_request(request)
    if request.run_id:
        from catalogs.store.store import open_store
        from tasks.run.heartbeat import refuse_living

        refuse_living(open_store(request.store), request.run_id)
    with (
        stoppable() as stop,
        configured_listener(lambda: console_listener(stderr)) as listener,
        use_listener(listener),
        acknowledging(stop, listener.note),
    ):
        if local:
            listener.note("loading")
            from flows.local import animate_locally

            summary = animate_locally(request)
        else:
            listener.note("starting Prefect")
            use_console_handler()
            from flows.server.prefect_server import starting_server

            with starting_server():  # while torch is imported
                from flows.animate import animate_here

                summary = animate_here(request)
        listener.note(summary.line())
    show(request, summary)
    return summary


def show(request: Request, summary: Summary) -> None:
    """Print where the results are, and what failed."""
    from catalogs.store.store import open_store
    from tasks.run.results import results

    rows = results(request.store, summary.run_id, SHOWN_JOBS)
    print_table(
        ("job", "status", "clip", "language", "frames", "video or error"),
        [(r.job_id, r.status, r.driving, r.language, r.frames, r.what) for r in rows],
        right=("frames",),
        optional=("language",),
    )
    if sum(summary.counts.values()) > len(rows):
        command = open_store(request.store).command(f"catalog ls --run {summary.run_id}")
        stderr.print(f"... and more; {command} lists all")
    stderr.print(f"report: {summary.report}")
    console.print(summary.manifest)


def exit_code(summary: Summary) -> int:
    """Return the exit code of a run: 0 if every job ended done or reused."""
    if summary.counts.get("cancelled"):
        return ExitCode.STOPPED
    return ExitCode.INCOMPLETE if summary.counts.get("failed") else 0

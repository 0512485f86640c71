"""`troupe run`: animate portraits, from a jobs file or two folders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from flows.cli.console import console, print_table, stderr
from flows.cli.options import ExitCode, with_request
from flows.cli.run_options import requested, with_run_options
from troupe.errors import SettingsError

if TYPE_CHECKING:
    from tasks.run.request import Request
    from tasks.run.summary import Summary

__all__ = ["perform", "run"]

SHOWN_JOBS = 20


@with_request
@with_run_options
def run(
    parameters: dict[str, Any],
    options: dict[str, Any],
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
    request = requested(parameters, options)
    raise typer.Exit(exit_code(perform(request, local=options["local"])))


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
            listener.note("loading Prefect")
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

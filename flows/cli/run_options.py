"""Options that say how jobs are run: those of `troupe run`, which `troupe plan` accepts as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.options import AllowInputOption, DeviceOption, DtypeOption, LocalOption, with_group
from flows.cli.parsing import parse_bound, parse_duration

if TYPE_CHECKING:
    from tasks.run.request import Request

__all__ = ["requested", "with_run_options"]


def _options(
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
) -> dict[str, Any]:
    """Return parameters of `tasks.run.request.Request`, and whether it is run `local`ly."""
    return locals()


def with_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the command's parameter `options` by the options that say how jobs are run."""
    return with_group(command, "options", _options, lambda options, _: options)


def requested(parameters: dict[str, Any], options: dict[str, Any]) -> Request:
    """Return the request that the two groups of options make."""
    from catalogs.requests.access.input_policy import ANY_PUBLIC
    from tasks.run.request import Request

    bounds, allowed = dict(options["max_quality"] or ()), (*ANY_PUBLIC, *(options["allow_input"] or ()))
    return Request.from_parameters(options | parameters | {"max_quality": bounds, "allow_input": allowed})

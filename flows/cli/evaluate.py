"""`troupe evaluate`: how good a model's renders are."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer

from flows.cli.console import stderr
from flows.cli.filters import STORE
from flows.cli.model import chosen_weights
from flows.cli.run import seconds

__all__ = ["evaluate"]


def evaluate(
    drivings: Annotated[str, typer.Option(help="Folder of driving clips.", show_default=False)],
    portraits: Annotated[
        str | None, typer.Option(help="Folder of pictures; each acts every clip as well.", show_default=False)
    ] = None,
    store: STORE = "troupe-store",
    weights: Annotated[
        str | None, typer.Option(help="Weights directory; see `troupe weights`.", envvar="TROUPE_WEIGHTS")
    ] = None,
    lpips: Annotated[
        str | None, typer.Option(metavar="FILE", help="TorchScript of LPIPS: two pictures in -1..1 to a distance.")
    ] = None,
    inception: Annotated[
        str | None, typer.Option(metavar="FILE", help="TorchScript of FID's features: uint8 pictures to (N, D).")
    ] = None,
    video_features: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="TorchScript of FVD's features: (N, 3, 16, H, W) in 0..255 to (N, D)."),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="ArcFace ONNX that tells identities, instead of the model's own encoder."),
    ] = None,
    detector: Annotated[str | None, typer.Option(help="Face detector instead of the weights' own.")] = None,
    preset: Annotated[str, typer.Option(help="exact, draft or sketch.")] = "exact",
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N clips and pictures.")] = None,
    preview: Annotated[
        float | None,
        typer.Option(parser=seconds, metavar="SECONDS", help="Only the start of every clip, such as 2s."),
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="In this process, without Prefect and Ray.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    run_id: Annotated[
        str | None, typer.Option(help="Name of the evaluation; made from date and time by default.")
    ] = None,
) -> None:
    """Measure a model as the field does, on your own clips.

    Every clip drives its own first frame (PSNR, SSIM, LPIPS, FID, FVD, landmarks, identity) and, with --portraits,
    every portrait (identity, expression, pose, landmarks, flicker). Measures whose network is not given are reported
    as missing. Rows a clip go to `evaluations/NAME/clips.parquet` in the store, the tables to `summary.md` beside it.

    Examples:

    - `troupe evaluate --drivings clips --weights weights --preview 2s --limit 3`
    - `troupe evaluate --drivings clips --portraits faces --weights weights --lpips lpips.pt --embedder arcface.onnx`
    """
    from tasks.evaluation.pipeline import EvaluationRequest

    request = EvaluationRequest(
        store=store,
        weights=chosen_weights(weights),
        drivings=drivings,
        run_id=run_id or datetime.now(UTC).strftime("evaluation-%Y%m%d-%H%M%S-") + secrets.token_hex(2),
        portraits=portraits,
        detector=detector,
        preset=preset,
        seed=seed,
        limit=limit,
        preview=preview,
        lpips=lpips,
        inception=inception,
        video_features=video_features,
        embedder=embedder,
        device=device,
        dtype=dtype,
    )
    from flows.observe.progress import console_listener, listening
    from troupe.signals import stoppable

    with stoppable(), console_listener(stderr) as listener, listening(listener):
        if local:
            from flows.local import evaluate_locally

            done = evaluate_locally(request)
        else:
            listener.note("starting Prefect")
            from flows.evaluate import evaluate_here

            done = evaluate_here(request)
    typer.echo(done["text"])
    stderr.print(done["summary"])

"""`troupe evaluate`: measure the quality of a model's renders."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated

import typer

from flows.cli.console import stderr
from flows.cli.options import (
    DEFAULT_STORE,
    DetectorOption,
    DeviceOption,
    DtypeOption,
    LocalOption,
    PreviewOption,
    StoreOption,
    WeightsOption,
    weights_or_miniature,
)

__all__ = ["evaluate"]


def evaluate(
    drivings: Annotated[str, typer.Option(help="A driving clip, or a folder of them.")],
    portraits: Annotated[
        str | None, typer.Option(help="A portrait, or a folder of them, to animate with every clip as well.")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    weights: WeightsOption = None,
    lpips: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="TorchScript file of LPIPS: maps two images in -1..1 to a distance."),
    ] = None,
    inception: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="TorchScript file of the features of FID: maps uint8 images to (N, D)."),
    ] = None,
    video_features: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="TorchScript file of the features of FVD: maps (N, 3, 16, H, W) in 0..255 to (N, D)."
        ),
    ] = None,
    embedder: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="ONNX file of ArcFace to compare identities; by default the model's encoder."
        ),
    ] = None,
    detector: DetectorOption = None,
    preset: Annotated[str, typer.Option(help="Sampler preset: exact, draft, fast or sketch.")] = "exact",
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="Use only the first N clips and portraits.")] = None,
    preview: PreviewOption = None,
    local: LocalOption = False,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    run_id: Annotated[
        str | None, typer.Option(help="Name of the evaluation.", show_default="from date and time")
    ] = None,
) -> None:
    """Evaluate a model on your own clips with the usual metrics.

    Every clip drives its own first frame (PSNR, SSIM, LPIPS, FID, FVD, landmarks, identity) and, with --portraits,
    every portrait (identity, expression, pose, landmarks, flicker). Metrics whose network is not given are reported
    as missing. One row per clip goes to `evaluations/NAME/clips.parquet` in the store, the tables to `summary.md`
    beside it.

    Examples:

    - `troupe evaluate --drivings clips --weights weights --preview 2s --limit 3`
    - `troupe evaluate --drivings clips --portraits faces --weights weights --lpips lpips.pt --embedder arcface.onnx`
    """
    from tasks.evaluation.request import EvaluationRequest, check_evaluation

    request = EvaluationRequest(
        store=store,
        weights=weights_or_miniature(weights),
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
    check_evaluation(request)
    from flows.observe.job_control import acknowledging
    from flows.observe.prefect_console import use_console_handler
    from flows.observe.progress import console_listener, use_listener
    from troupe.process.signals import stoppable

    with (
        stoppable() as stop,
        console_listener(stderr) as listener,
        use_listener(listener),
        acknowledging(stop, listener.note),
    ):
        listener.note("loading")
        if local:
            from flows.local import evaluate_locally

            done = evaluate_locally(request)
        else:
            listener.note("loading Prefect")
            use_console_handler()
            from flows.evaluate import evaluate_here

            done = evaluate_here(request)
    typer.echo(done["text"])
    stderr.print(done["summary"])

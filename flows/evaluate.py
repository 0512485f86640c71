"""The flow of an evaluation: render clips by their own first frames and by portraits, then measure."""

from __future__ import annotations

from typing import Any

# First: it sets what Prefect reads when it is imported.
from flows.animate import animate  # isort: skip

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.progress import listener
from flows.server import prefect_server
from tasks.evaluation import EvaluationRequest, measure, prepare, publish_evaluation
from tasks.production import Request
from tasks.quality.summary import Evaluation
from tasks.stopping import stoppable

__all__ = ["evaluate", "evaluate_here"]


@task(name="prepare evaluation", cache_policy=NO_CACHE, persist_result=False)
def _prepare(request: EvaluationRequest) -> Request:
    return prepare(request)


@task(name="measure", cache_policy=NO_CACHE, persist_result=False)
def _measure(request: EvaluationRequest) -> Evaluation:
    with stoppable() as stop:
        return measure(request, listener().note, stop.is_set)


@flow(
    name="evaluate",
    description="How good the renders of a model are: what the field measures, a row a clip and a table of means.",
    persist_result=False,
)
def evaluate(
    store: str,
    weights: str,
    drivings: str,
    run_id: str,
    portraits: str | None = None,
    detector: str | None = None,
    preset: str = "exact",
    seed: int = 0,
    limit: int | None = None,
    preview: float | None = None,
    lpips: str | None = None,
    inception: str | None = None,
    video_features: str | None = None,
    embedder: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> dict[str, str]:
    """Evaluate a weights directory on clips, and on portraits that act them.

    Args:
        store: folder or bucket URL for renders and results.
        weights: the weights directory.
        drivings: folder of clips.
        run_id: of the evaluation, and of the run that renders for it.
        portraits: folder of pictures for cross-reenactment.
        detector: path of a face detector that replaces the weights directory's own.
        preset, seed: how it is rendered.
        limit: only the first clips and pictures.
        preview: only the first seconds of every clip.
        lpips, inception, video_features: TorchScript files of the networks that these measures need.
        embedder: ONNX file of a face embedder.
        device, dtype: for the networks.
    """
    request = EvaluationRequest(**{name: value for name, value in locals().items() if name != "request"})
    animation: Request = _prepare(request)
    animate(**animation.parameters())
    evaluation: Evaluation = _measure(request)
    uri = publish_evaluation(request, evaluation)
    text = evaluation.markdown()
    create_markdown_artifact(text, key="troupe-evaluation", description=f"evaluation {run_id}")
    return {"summary": uri, "text": text}


def evaluate_here(request: EvaluationRequest) -> dict[str, str]:
    """Run the flow in this process; its tables' URI and text.

    Raises:
        TroupeError: the request cannot be carried out as it is.
    """
    with prefect_server():
        found: Any = evaluate(**request.parameters())
    return dict(found)

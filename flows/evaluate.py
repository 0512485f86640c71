"""The flow of an evaluation: render clips by their own first frames and by portraits, then measure."""

from __future__ import annotations

from typing import Any

# First: it sets what Prefect reads when it is imported.
from flows.animate import animate  # isort: skip

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Cancelled as cancelled

from flows.observe.progress import listener
from flows.prefect_server import prefect_server
from flows.prefect_tasks import result_of, stoppable_task
from tasks.evaluation.pipeline import EvaluationRequest, measure, prepare, publish_evaluation
from tasks.evaluation.summary import Evaluation
from tasks.run.run import Request
from troupe.errors import Cancelled
from troupe.signals import stoppable

__all__ = ["evaluate", "evaluate_here"]


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
) -> dict[str, str] | State[Any]:
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
    try:
        animation: Request = stoppable_task("prepare evaluation", prepare)(request)
        result_of(animate(**animation.parameters(), return_state=True))
        evaluation: Evaluation = stoppable_task("measure", _measure)(request)
    except Cancelled as error:
        return cancelled(message=error.message)
    uri = publish_evaluation(request, evaluation)
    text = evaluation.markdown()
    create_markdown_artifact(text, key="troupe-evaluation", description=f"evaluation {run_id}")
    return {"summary": uri, "text": text}


def evaluate_here(request: EvaluationRequest) -> dict[str, str]:
    """Run the flow in this process; its tables' URI and text.

    Raises:
        TroupeError: the request cannot be carried out as it is.
        Cancelled: it was stopped.
    """
    with stoppable() as stop, prefect_server(stop):
        state: Any = evaluate(**request.parameters(), return_state=True)
    found: dict[str, str] = result_of(state)
    return found

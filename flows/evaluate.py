"""The flow of an evaluation: render clips by their own first frames and by portraits, then measure."""

from __future__ import annotations

import flows.server.prefect_env  # noqa: F401  # isort: skip

from typing import Any

from prefect import State, flow
from prefect.artifacts import create_markdown_artifact

from flows.animate import animate
from flows.observe.progress import current_listener
from flows.parameters import Count, Device, Dtype, Preset, Seconds, Seed
from flows.prefect_tasks import call_as_task, result_of, state_of
from flows.server.prefect_server import prefect_server
from tasks.evaluation.pipeline import measure_renders, prepare_evaluation, publish_evaluation
from tasks.evaluation.request import EvaluationRequest
from tasks.evaluation.summary import Evaluation
from tasks.run.request import Request
from troupe.errors import TroupeError
from troupe.process.signals import stoppable

__all__ = ["evaluate", "evaluate_here"]


def _measure(request: EvaluationRequest) -> Evaluation:
    with stoppable() as stop:
        return measure_renders(request, current_listener().note, stop.is_set)


@flow(
    name="evaluate",
    description="Quality of a model's renders by the field's metrics: a row per clip and a table of means.",
    flow_run_name="{run_id}",
    persist_result=False,
)
def evaluate(
    store: str,
    weights: str,
    drivings: str,
    run_id: str,
    portraits: str | None = None,
    detector: str | None = None,
    preset: Preset = "exact",
    seed: Seed = 0,
    limit: Count | None = None,
    preview: Seconds | None = None,
    lpips: str | None = None,
    inception: str | None = None,
    video_features: str | None = None,
    embedder: str | None = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> dict[str, str] | State[Any]:
    """Evaluate a weights directory: animate clips by their own first frames and by portraits, then measure.

    Args:
        store: folder or bucket URL for renders and results.
        weights: weights directory.
        drivings: folder of clips, or one clip.
        run_id: name of the evaluation, and of the run that renders for it.
        portraits: folder of pictures, or one picture, for cross-reenactment.
        detector: path of a face detector that replaces the weights directory's own.
        preset, seed: settings of the renders.
        limit: number of clips and of pictures; only the first ones are used.
        preview: seconds of every clip; only its start is used.
        lpips, inception, video_features: TorchScript files of the networks that these metrics need.
        embedder: ONNX file of a face embedder.
        device, dtype: device and number type of the networks.
    """
    request = EvaluationRequest(**{name: value for name, value in locals().items() if name != "request"})
    try:
        animation: Request = call_as_task("prepare evaluation", prepare_evaluation, request)
        result_of(animate(**animation.parameters(), return_state=True))
        evaluation: Evaluation = call_as_task("measure", _measure, request)
    except TroupeError as error:
        return state_of(error)
    uri = publish_evaluation(request, evaluation)
    text = evaluation.markdown()
    create_markdown_artifact(text, key="troupe-evaluation", description=f"evaluation {run_id}")
    return {"summary": uri, "text": text}


def evaluate_here(request: EvaluationRequest) -> dict[str, str]:
    """Run the flow in this process; return the URI (`summary`) and the text of its tables.

    Raises:
        TroupeError: the request cannot be executed as it is.
        Cancelled: the evaluation was stopped.
    """
    with stoppable() as stop, prefect_server(stop):
        state: Any = evaluate(**request.parameters(), return_state=True)
    found: dict[str, str] = result_of(state)
    return found

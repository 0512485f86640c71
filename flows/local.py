"""Runs and evaluations in this process alone, without Prefect or Ray: for tests and quick looks."""

from __future__ import annotations

from flows.observe.progress import current_listener
from flows.steps import execute
from tasks.evaluation.request import EvaluationRequest
from tasks.run.request import Request
from tasks.run.summary import Summary
from troupe.errors import Cancelled
from troupe.process.signals import stoppable

__all__ = ["animate_locally", "evaluate_locally"]


def animate_locally(request: Request) -> Summary:
    """Execute a request.

    Raises:
        TroupeError: the request cannot be executed as it is.
    """
    return execute(request, current_listener(), ray=False)


def evaluate_locally(request: EvaluationRequest) -> dict[str, str]:
    """Execute an evaluation; return the URI (`summary`) and the text of its tables.

    Raises:
        TroupeError: the request cannot be executed as it is.
        Cancelled: the evaluation was stopped.
    """
    from tasks.evaluation.pipeline import measure_renders, prepare_evaluation, publish_evaluation  # imports torch

    with stoppable() as stop:
        summary = animate_locally(prepare_evaluation(request))
        if summary.counts.get("cancelled"):
            raise Cancelled(summary.line())
        evaluation = measure_renders(request, current_listener().note, stop.is_set)
    return {"summary": publish_evaluation(request, evaluation), "text": evaluation.markdown()}

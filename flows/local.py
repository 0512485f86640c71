"""The main flow's work in this process alone: no Prefect, no Ray. For tests and quick looks."""

from __future__ import annotations

from flows.observe.progress import listener
from flows.steps import PlainCaller, perform
from tasks.evaluation.pipeline import EvaluationRequest, measure, prepare, publish_evaluation
from tasks.run.run import Request, Summary
from troupe.errors import Cancelled
from troupe.signals import stoppable

__all__ = ["animate_locally", "evaluate_locally"]


def animate_locally(request: Request) -> Summary:
    """Carry the request out.

    Raises:
        TroupeError: the request cannot be carried out as it is.
    """
    return perform(request, PlainCaller(), listener(), ray=False)


def evaluate_locally(request: EvaluationRequest) -> dict[str, str]:
    """Carry an evaluation out; its tables' URI and text.

    Raises:
        TroupeError: the request cannot be carried out as it is.
        Cancelled: it was stopped.
    """
    with stoppable() as stop:
        summary = animate_locally(prepare(request))
        if summary.counts.get("cancelled"):
            raise Cancelled(summary.line())
        evaluation = measure(request, listener().note, stop.is_set)
    return {"summary": publish_evaluation(request, evaluation), "text": evaluation.markdown()}

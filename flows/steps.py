"""The steps of a run in their order, called as plain functions or as Prefect tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tasks.run.listener import Listener
from tasks.run.request import Request
from tasks.run.run import Run
from tasks.run.summary import Summary
from troupe.process.signals import stoppable

__all__ = ["Call", "call_directly", "execute"]


class Call(Protocol):
    """Calls a step of a run or a training: once, or once per value."""

    def __call__(self, name: str, step: Callable[..., Any], *args: Any, each: Sequence[Any] | None = None) -> Any:
        """Return the step's result; with `each`, a list of them.

        Args:
            name: name of the step for its Prefect task.
            args: arguments of the step.
            each: values of a last argument.
        """


def call_directly(name: str, step: Callable[..., Any], *args: Any, each: Sequence[Any] | None = None) -> Any:  # noqa: ARG001
    """Call the step in this thread, for one value after the other."""
    return step(*args) if each is None else [step(*args, value) for value in each]


def execute(request: Request, listener: Listener, *, ray: bool, call: Call = call_directly) -> Summary:
    """Execute a request.

    Args:
        listener: receives the run's progress.
        ray: whether workers are Ray actors, or objects in this process.
        call: calls the steps.

    Raises:
        TroupeError: the request cannot be executed as it is; an error of a single job only ends in its row.
    """
    with stoppable() as stop, Run(request, listener, stop, ray=ray) as run:
        call("plan", run.plan)
        if run.shards:
            call("encode identities", run.encode_identities)
            call("animate shard", run.animate_shard, each=run.shards)
        summary: Summary = call("publish", run.publish)
    return summary

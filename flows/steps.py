"""The steps of a run in their order, called as plain functions or as Prefect tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from tasks.run.listener import Listener
from tasks.run.request import Request
from tasks.run.run import Run
from tasks.run.summary import Summary
from troupe.process.signals import stoppable

__all__ = ["CONCURRENT_SHARDS", "Call", "call_directly", "execute"]

CONCURRENT_SHARDS = 4
"""Enough that the last jobs of one do not leave workers idle, few enough that preprocessing stays just ahead."""


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
    """Call the step in this thread; for values, on a few threads, which all end before an error of one is raised."""
    if each is None:
        return step(*args)
    with ThreadPoolExecutor(CONCURRENT_SHARDS) as threads:
        return list(threads.map(partial(step, *args), each))


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

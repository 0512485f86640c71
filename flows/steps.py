"""The steps of a run in their order, called as plain functions or as Prefect tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tasks.run.outcomes import Listener
from tasks.run.request import Request
from tasks.run.run import Run, Shard
from tasks.run.summary import Summary
from troupe.signals import stoppable

__all__ = ["Call", "call_directly", "execute"]


class Call(Protocol):
    """Calls a step of a run: once, or once per shard."""

    def __call__(self, step: Callable[..., Any], shards: Sequence[Shard] | None = None) -> Any:
        """Return the step's result; with shards, a list of them."""


def call_directly(step: Callable[..., Any], shards: Sequence[Shard] | None = None) -> Any:
    """Call the step in this thread, one shard after the other."""
    return step() if shards is None else [step(shard) for shard in shards]


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
        call(run.plan)
        if run.shards:
            call(run.encode_identities)
            call(run.animate_shard, run.shards)
        summary: Summary = call(run.publish)
    return summary

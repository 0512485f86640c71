"""The order of the work, whoever calls its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from flows.observe.progress import Listener
from tasks.run.run import Request, Run, Summary
from tasks.steps.specs import RenderSpec
from troupe.signals import stoppable

__all__ = ["Caller", "PlainCaller", "animate_shard", "encode_identities", "perform", "plan", "publish"]

Shard = tuple[RenderSpec, ...]


def plan(run: Run) -> None:
    """Read the request, make the keys, find what exists already."""
    run.plan()


def encode_identities(run: Run) -> None:
    """Encode every identity that a render still needs, once."""
    run.encode_identities()


def animate_shard(run: Run, shard: Shard) -> None:
    """Render the jobs of a few identities; their rows are committed as they finish."""
    run.animate(shard)


def publish(run: Run) -> Summary:
    """Commit what is left and write the manifest."""
    return run.publish()


class Caller(Protocol):
    """How steps are called: as Prefect's tasks, or as the functions they are."""

    def one(self, step: Callable[..., Any], run: Run) -> Any:
        """Its result."""

    def each(self, step: Callable[..., Any], run: Run, shards: Sequence[Shard]) -> None:
        """Once for every shard."""


class PlainCaller:
    """One after the other, in this thread."""

    def one(self, step: Callable[..., Any], run: Run) -> Any:
        """Its result."""
        return step(run)

    def each(self, step: Callable[..., Any], run: Run, shards: Sequence[Shard]) -> None:
        """In the order of the shards."""
        for shard in shards:
            step(run, shard)


def perform(request: Request, call: Caller, tell: Listener, *, ray: bool) -> Summary:
    """Carry a request out.

    Args:
        call: calls the steps.
        tell: is told what happens.
        ray: whether workers are Ray actors, or this process itself.

    Raises:
        TroupeError: the request cannot be carried out as it is; a single job's trouble only ends in its row.
    """
    with stoppable() as stop, Run(request, tell, stop, ray=ray) as run:
        call.one(plan, run)
        if run.shards:
            call.one(encode_identities, run)
            call.each(animate_shard, run, run.shards)
        summary: Summary = call.one(publish, run)
    return summary

"""The order of the work, whoever calls its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from flows.observe.progress import Listener
from tasks.run.run import Production, Request, Summary
from tasks.run.signals import stoppable
from tasks.steps.specs import RenderOrder

__all__ = ["Caller", "PlainCaller", "animate_shard", "encode_identities", "perform", "plan", "publish"]

Shard = tuple[RenderOrder, ...]


def plan(production: Production) -> None:
    """Read the request, make the keys, find what exists already."""
    production.plan()


def encode_identities(production: Production) -> None:
    """Encode every identity that a render still needs, once."""
    production.encode_identities()


def animate_shard(production: Production, shard: Shard) -> None:
    """Render the jobs of a few identities; their rows are committed as they finish."""
    production.animate(shard)


def publish(production: Production) -> Summary:
    """Commit what is left and write the manifest."""
    return production.publish()


class Caller(Protocol):
    """How steps are called: as Prefect's tasks, or as the functions they are."""

    def one(self, step: Callable[..., Any], production: Production) -> Any:
        """Its result."""

    def each(self, step: Callable[..., Any], production: Production, shards: Sequence[Shard]) -> None:
        """Once for every shard."""


class PlainCaller:
    """One after the other, in this thread."""

    def one(self, step: Callable[..., Any], production: Production) -> Any:
        """Its result."""
        return step(production)

    def each(self, step: Callable[..., Any], production: Production, shards: Sequence[Shard]) -> None:
        """In the order of the shards."""
        for shard in shards:
            step(production, shard)


def perform(request: Request, call: Caller, tell: Listener, *, ray: bool) -> Summary:
    """Carry a request out.

    Args:
        call: calls the steps.
        tell: is told what happens.
        ray: whether workers are Ray actors, or this process itself.

    Raises:
        TroupeError: the request cannot be carried out as it is; a single job's trouble only ends in its row.
    """
    with stoppable() as stop, Production(request, tell, stop, ray=ray) as production:
        call.one(plan, production)
        if production.shards:
            call.one(encode_identities, production)
            call.each(animate_shard, production, production.shards)
        summary: Summary = call.one(publish, production)
    return summary

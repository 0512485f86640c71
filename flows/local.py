"""The main flow's work in this process alone: no Prefect, no Ray. For tests and quick looks."""

from __future__ import annotations

from flows.order import PlainCaller, perform
from flows.progress import listener
from tasks.production import Request, Summary

__all__ = ["animate_locally"]


def animate_locally(request: Request) -> Summary:
    """Carry the request out.

    Raises:
        TroupeError: the request cannot be carried out as it is.
    """
    return perform(request, PlainCaller(), listener(), ray=False)

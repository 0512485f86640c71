"""Steps as tasks of Prefect's, and how they ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled as cancelled

from troupe.errors import Cancelled

__all__ = ["result_of", "stoppable_task"]


def stoppable_task(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
    """The step as a task, called like the step.

    A step that raises `Cancelled` ends in Prefect's state of that name: any other error is logged with its traceback.

    Raises:
        Cancelled: as the step does.
    """

    def end_in_state(*args: Any) -> Any:
        try:
            return step(*args)
        except Cancelled as error:
            return cancelled(message=error.message)

    step_task = task(name=name, cache_policy=NO_CACHE, persist_result=False)(end_in_state)

    def call(*args: Any) -> Any:
        return result_of(step_task(*args, return_state=True))

    return call


def result_of(state: Any) -> Any:
    """The result of a task's or a flow's state.

    Raises:
        Cancelled: it was stopped.
    """
    if state.is_cancelled():
        raise Cancelled(state.message)
    return state.result()

"""Steps as Prefect tasks, and how they ended."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled as cancelled

from troupe.errors import Cancelled

__all__ = ["call_as_task", "result_of", "stoppable_task"]


def stoppable_task(name: str, step: Callable[..., Any]) -> Task[..., Any]:
    """Return the step as a task. Prefect caches no results: the store has them.

    A step that raises `Cancelled` ends in Prefect's state of that name; Prefect logs any other error with a traceback.
    """

    @wraps(step)
    def end_in_state(*args: Any) -> Any:
        try:
            return step(*args)
        except Cancelled as error:
            return cancelled(message=error.message)

    return task(name=name, cache_policy=NO_CACHE, persist_result=False)(end_in_state)


def call_as_task(name: str, step: Callable[..., Any], *args: Any) -> Any:
    """Call the step as a task of the running flow, in this thread, and return its result.

    Raises:
        Cancelled: the step raised it.
    """
    return result_of(stoppable_task(name, step)(*args, return_state=True))


def result_of(state: Any) -> Any:
    """Return the result of a task's or a flow's state.

    Raises:
        Cancelled: the task or flow was cancelled.
    """
    if state.is_cancelled():
        raise Cancelled(state.message)
    return state.result()

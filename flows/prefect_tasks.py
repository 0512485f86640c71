"""Steps as Prefect tasks, and how they ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from prefect import State, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.states import Cancelled as cancelled
from prefect.states import Failed as failed
from prefect.utilities.annotations import quote

from troupe.errors import Cancelled, TroupeError

__all__ = ["call_as_task", "result_of", "state_of"]


def state_of(error: TroupeError) -> State[Any]:
    """Return the final state of a task or flow that ended with the error: raised, Prefect would log a traceback."""
    if isinstance(error, Cancelled):
        return cancelled(message=error.message)
    return failed(message=str(error), data=error)


def call_as_task(name: str, step: Callable[..., Any], *args: Any, each: Sequence[Any] | None = None) -> Any:
    """Call the step as a task of the running flow, in this thread, and return its result.

    With `each`, call it once per value, which is its last argument, in the threads of the flow's task runner; return a
    list of the results. All tasks end before an error of one is raised.

    Prefect caches no results: the store has them. A step that raises `Cancelled` ends in Prefect's state of that name,
    one that raises another `TroupeError` in a failed state with its message; Prefect logs a bug with a traceback.

    Raises:
        TroupeError: the step raised it.
    """

    @task(name=name, cache_policy=NO_CACHE, persist_result=False)
    @wraps(step)
    def end_in_state(*args: Any) -> Any:
        try:
            return step(*args)
        except TroupeError as error:
            return state_of(error)

    if each is None:
        return result_of(end_in_state(*args, return_state=True))
    # Quoted: Prefect would look for futures in thousands of specs.
    futures = [end_in_state.submit(*args, quote(value)) for value in each]
    wait(futures)
    return [result_of(future.state) for future in futures]


def result_of(state: Any) -> Any:
    """Return the result of a task's or a flow's state.

    Raises:
        Cancelled: the task or flow was cancelled.
    """
    if state.is_cancelled():
        raise Cancelled(state.message)
    return state.result()

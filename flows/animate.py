"""The main flow: a request becomes renders, rows of the catalog and a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, cast

# Before prefect is imported. Its first start would log `database is locked` while it reports its use; what it says
# of every state is for its own pages, the terminal has ours.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from prefect import State, Task, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture, wait
from prefect.states import Cancelled as cancelled
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.observe.prefect_artifacts import Artifacts
from flows.observe.progress import Everyone, listener, listening_here, watched
from flows.prefect_server import prefect_server
from flows.steps import Shard, animate_shard, encode_identities, perform, plan, publish
from tasks.run.run import Request, Run, Summary
from troupe.errors import Cancelled
from troupe.signals import stoppable

__all__ = ["animate", "animate_here"]

SHARDS_AT_ONCE = 4
"""Enough that one's last jobs do not leave workers idle, few enough that preparation stays just ahead."""

RUNNER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=SHARDS_AT_ONCE))


def _task(step: Callable[..., Any]) -> Task[..., Any]:
    """A coarse task. What was done already the store knows, so Prefect's own result cache is off."""
    return task(name=step.__name__.replace("_", " "), cache_policy=NO_CACHE, persist_result=False)(step)


TASKS = {step: _task(step) for step in (plan, encode_identities, animate_shard, publish)}


class Stopped(Cancelled):
    """A run that was stopped, and what it had done. (Of a cancelled flow, Prefect's worker raises the result.)"""

    def __init__(self, summary: Summary) -> None:
        super().__init__(summary.line())
        self.summary = summary


class PrefectCaller:
    """Calls steps as tasks of the running flow; quoted, so that Prefect seeks no futures in thousands of orders."""

    def one(self, step: Callable[..., Any], run: Run) -> Any:
        """Its result."""
        return TASKS[step](quote(run))

    def each(self, step: Callable[..., Any], run: Run, shards: Sequence[Shard]) -> None:
        """A few at a time, in the threads of the flow's task runner; all end before an error of one is raised."""
        futures = [TASKS[step].submit(quote(run), quote(shard)) for shard in shards]
        wait(futures)
        for future in futures:
            future.result()


@flow(
    name="animate",
    description="Portraits act driving clips: videos, posters and a manifest in the store.",
    task_runner=RUNNER,
    persist_result=False,
)
def animate(
    store: str,
    weights: str,
    jobs: str | None = None,
    portraits: str | None = None,
    drivings: str | None = None,
    detector: str | None = None,
    defaults: dict[str, str] | None = None,
    limit: int | None = None,
    preview: float | None = None,
    require_consent: bool = False,
    min_identity: float | None = None,
    max_quality: dict[str, float] | None = None,
    fail_quality: bool = False,
    device: str = "auto",
    dtype: str = "auto",
    compile: bool = False,
    gpu_memory: float | None = None,
    run_id: str | None = None,
    ray_address: str | None = None,
    workers: int | None = None,
    stop_after: float | None = None,
    retry: list[str] | None = None,
) -> dict[str, Any] | State[Any]:
    """Let portraits act: for every row of a jobs file, or every picture of a folder with every clip of another.

    Args:
        store: folder or bucket URL for results, caches and the catalog.
        weights: the weights directory, a path that every worker has.
        jobs: URI of a CSV, JSONL or Parquet file.
        portraits: folder of pictures, instead of a jobs file.
        drivings: folder of driving clips, with `portraits`.
        detector: path of a face detector that replaces the weights directory's own.
        defaults: columns of the jobs file for jobs that do not say themselves, such as preset or seed.
        limit: only the first jobs.
        preview: only the first seconds of every clip.
        require_consent: refuse jobs without a reference to the permission to use the likeness.
        min_identity: similarity to the portrait below which a render is flagged.
        max_quality: of landmarks, expression, pose or flicker, above which a render is flagged.
        fail_quality: such jobs fail.
        device: for the networks; `auto` is a GPU if there is one.
        dtype: of their numbers; `auto` is what the device is good at.
        compile: have torch compile the denoiser: pays off from some minutes of work on.
        gpu_memory: GiB of a GPU that a worker may take; all of it if not given.
        run_id: of the run; made from date and time if not given. That of an earlier run resumes it.
        ray_address: of a Ray cluster that this machine is part of, `auto` or HOST:PORT; if not given, its own.
        workers: how many animators; one a GPU, or one for every four cores, if not given.
        stop_after: seconds after which no further job begins; what runs then ends.
        retry: do the failed jobs of `run_id` again, those with one of these kinds of error; an empty list means all.
    """
    request = Request(
        store=store,
        weights=weights,
        jobs=jobs,
        portraits=portraits,
        drivings=drivings,
        detector=detector,
        defaults=defaults or {},
        limit=limit,
        preview=preview,
        require_consent=require_consent,
        min_identity=min_identity,
        max_quality=max_quality or {},
        fail_quality=fail_quality,
        device=device,
        dtype=dtype,
        compile=compile,
        gpu_memory=gpu_memory,
        run_id=run_id,
        ray_address=ray_address,
        workers=workers,
        stop_after=stop_after,
        retry=None if retry is None else tuple(retry),
    )
    artifacts = Artifacts()
    with nullcontext(listener()) if listening_here() else watched() as told:
        summary = perform(request, PrefectCaller(), Everyone(told, artifacts), ray=True)
    artifacts.end(summary)
    if summary.counts.get("cancelled"):
        return cancelled(message=summary.line(), data=Stopped(summary))
    return summary.as_dict()


def animate_here(request: Request) -> Summary:
    """Run the flow in this process, known to the Prefect server that is configured, or to one for this run only.

    Raises:
        TroupeError: the request cannot be carried out as it is.
        Cancelled: it was stopped before anything was begun.
    """
    with stoppable() as stop, prefect_server(stop):
        try:
            state = animate(**request.parameters(), return_state=True)
        except TerminationSignal:
            # Prefect's own answer to SIGTERM, while its engine gets a flow under way.
            raise Cancelled("stopped before anything was begun") from None
    # A cancelled flow has a result, too; asked for it plainly, Prefect would raise.
    result: Any = state.result(raise_on_failure=not state.is_cancelled())
    return result.summary if isinstance(result, Stopped) else Summary(**result)

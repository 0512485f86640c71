"""The main flow: a request becomes renders, rows of the catalog and a manifest."""

from __future__ import annotations

import flows.server.prefect_env  # noqa: F401  # isort: skip

import logging
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any, cast

from prefect import State, flow
from prefect.exceptions import TerminationSignal
from prefect.futures import PrefectFuture
from prefect.states import Cancelled as cancelled
from prefect.states import Completed as completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from catalogs.requests.jobs_file import IdentityFrom
from catalogs.store.store import open_store
from catalogs.store.uris import redacted_value
from flows.observe.prefect_artifacts import Artifacts
from flows.observe.prefect_events import PrefectEvents
from flows.observe.progress import Listeners, configured_listener, current_listener, has_listener
from flows.parameters import Cells, Count, Device, Dtype, Gibibytes, Limits, Seconds, Similarity
from flows.prefect_tasks import call_as_task, state_of
from flows.server.prefect_server import is_temporary, prefect_server
from flows.steps import CONCURRENT_SHARDS, execute
from tasks.run.request import Request
from tasks.run.requests.unattended import unattended_request
from tasks.run.summary import Summary
from troupe.errors import Cancelled, TroupeError
from troupe.process.signals import stoppable

__all__ = ["animate", "animate_here"]

RUNNER = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=CONCURRENT_SHARDS))

_log = logging.getLogger(__name__)
_request: ContextVar[Request | None] = ContextVar("request", default=None)
"""The request of `animate_here`: checked, its jobs are read, and it has the credentials that the parameters lack."""


class Stopped(Cancelled):
    """A run that was stopped, with its summary. (Prefect's worker raises the result of a cancelled flow.)"""

    def __init__(self, summary: Summary) -> None:
        super().__init__(summary.line())
        self.summary = summary


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
    defaults: Cells | None = None,
    limit: Count | None = None,
    preview: Seconds | None = None,
    require_consent: bool = False,
    identity_from: IdentityFrom | None = None,
    min_identity: Similarity | None = None,
    max_quality: Limits | None = None,
    fail_quality: bool = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    compile: bool = False,
    gpu_memory: Gibibytes | None = None,
    run_id: str | None = None,
    ray_address: str | None = None,
    workers: Count | None = None,
    stop_after: Seconds | None = None,
    allow_input: list[str] | None = None,
    retry: list[str] | None = None,
    credentials: str | None = None,
    require_signature: bool = False,
    syncnet: str | None = None,
) -> State[Any]:
    """Animate portraits: every row of a jobs file, or every picture of one folder with every clip of another.

    Args:
        store: folder or bucket URL for results, caches and the catalog.
        weights: weights directory, a path that every worker has.
        jobs: URI of a CSV, JSONL or Parquet file.
        portraits: folder of pictures, instead of a jobs file.
        drivings: folder of driving clips, with `portraits`.
        detector: path of a face detector that replaces the weights directory's own.
        defaults: cells by column of the jobs file, for jobs that leave them empty, such as preset or seed.
        limit: number of jobs; only the first ones are done.
        preview: seconds of every clip; only its start is animated.
        require_consent: whether to refuse jobs without a reference to the permission to use the likeness.
        identity_from: identity of jobs that set none: `stem`, the portrait's file name without its suffix, or `folder`,
            its folder's name.
        min_identity: similarity to the portrait below which a render is flagged.
        max_quality: landmarks, expression, pose, flicker, sync_offset_frames (either way) or sync_lse_d above which a
            render is flagged.
        fail_quality: whether such jobs fail.
        device: device of the networks; `auto` is a GPU if there is one.
        dtype: number type of the networks; `auto` is what suits the device.
        compile: whether torch compiles the denoiser; pays off from some minutes of work on.
        gpu_memory: GiB of a GPU that a worker may use; all of it if empty.
        run_id: name of the run; made from date and time if empty. That of an earlier run resumes it.
        ray_address: address of a Ray cluster that this machine is part of, `auto` or HOST:PORT; if empty, the run
            starts its own Ray.
        workers: number of render workers; one per GPU, or one per four cores, if empty.
        stop_after: seconds after which no further job starts; those that run are finished.
        allow_input: folders, buckets and hosts from which jobs may read inputs, beside the folder of the jobs file (or
            those of portraits and clips) and the store's bucket, such as https://media.example.com/.
        retry: kinds of error; the failed jobs of `run_id` with one of them are done again. An empty list means all.
        credentials: folder of the signing certificate and its key, the same path on every machine; if empty, each
            worker's environment names them (TROUPE_SIGNING_...).
        require_signature: whether to refuse the run if there is no signer.
        syncnet: TorchScript file of a SyncNet that measures new films, a path or URL that every worker has.
    """
    parameters = locals()
    artifacts = Artifacts()
    for name, value in parameters.items():
        if redacted_value(value) != value:
            _log.warning(
                "the parameter %s grants access to what it names, and Prefect stores it and shows it on its pages; "
                "put presigned URIs into a jobs file in the store or a folder",
                name,
            )
    with nullcontext(current_listener()) if has_listener() else configured_listener() as own:
        try:
            if (request := _request.get()) is None:
                # What a person types is in `_request`; a schedule may read less, unless its parameters say so.
                note = Listeners(own, artifacts).note
                request = unattended_request(parameters | {"allow_input": allow_input or ()}, note)
            events = [] if is_temporary() else [PrefectEvents(open_store(request.store))]
            summary = execute(request, Listeners(own, artifacts, *events), ray=True, call=call_as_task)
        except TroupeError as error:
            return state_of(error)
    artifacts.end(summary)
    for each in events:
        each.end(summary)
    if summary.counts.get("cancelled"):
        return cancelled(message=summary.line(), data=Stopped(summary))
    return completed(message=summary.jobs_line(), data=summary.as_dict())


def animate_here(request: Request) -> Summary:
    """Run the flow in this process, on the Prefect server that is configured or on one for this run only.

    Args:
        request: a request that passes `check_request`.

    Raises:
        TroupeError: the request cannot be executed as it is.
        Cancelled: the run was stopped before anything started.
    """
    token = _request.set(request)
    try:
        with stoppable() as stop, prefect_server(stop):
            state = animate(**redacted_value(request.parameters()), return_state=True)
    except TerminationSignal:
        # Prefect's own answer to SIGTERM, while its engine starts a flow.
        raise Cancelled("stopped before anything started") from None
    finally:
        _request.reset(token)
    # A cancelled flow has a result, too, which Prefect would raise.
    result: Any = state.result(raise_on_failure=not state.is_cancelled())
    if isinstance(result, Stopped):
        return result.summary
    if state.is_cancelled():
        raise Cancelled(state.message)
    return Summary(**result)

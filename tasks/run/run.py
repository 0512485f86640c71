"""One run, from its request to its manifest."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, as_completed, wait
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from catalogs.report import write_report
from catalogs.requests.jobs_file import write_request
from catalogs.review.automatic import apply_rules
from catalogs.store import uris
from catalogs.store.store import open_store
from catalogs.table.audit import append_audit
from catalogs.table.check import check_store
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.snapshot import latest_rows, snapshot
from models.weight_files import model_files
from tasks.events import sending_events
from tasks.pool import LocalPool, Pool, RayPool, Role
from tasks.quality.thresholds import Thresholds
from tasks.run.heartbeat import Heartbeat
from tasks.run.inputs.model import Model
from tasks.run.listener import Listener
from tasks.run.outcomes import STOPPED, Outcomes
from tasks.run.planning import Plan, PlannedJob, Shard, finished_films, plan_jobs, shards
from tasks.run.request import Request, new_run_id
from tasks.run.summary import Summary
from tasks.run.work_items import portrait_item, work_items
from tasks.run.worker_roles import PREPROCESS, RENDER, cluster_roles, worker_roles
from tasks.steps.context import WorkerConfig
from tasks.steps.specs import FilmSpec
from troupe.errors import Cancelled, DamagedFile, NoSpace, SettingsError, StoreError, TroupeError, WeightsError
from troupe.files import file_state
from troupe.process.log_context import set_run_id
from troupe.process.scratch import scratch_folder
from troupe.process.signals import call_stoppable
from troupe.wording import counted

__all__ = ["Run", "Shard"]

_log = logging.getLogger(__name__)

JOBS_PER_RENDER_WORKER = 8
"""Jobs in a shard, of which a few are worked on at once: enough for the pool to choose from."""


class Run:
    """A run in progress. Its public methods are the run's steps, in their order.

    Args:
        request: parameters of the run.
        listener: receives the run's progress.
        stop: when set, work ends within seconds, and what is finished is committed.
        ray: whether workers are Ray actors, or objects in this process.

    Raises:
        SettingsError, BadJob, WeightsError: the request cannot be executed as it is.
        StoreError: the store cannot be written.
    """

    def __init__(self, request: Request, listener: Listener, stop: threading.Event, *, ray: bool) -> None:
        self.run_id = request.run_id or new_run_id()
        self.shards: tuple[Shard, ...] = ()
        self._request, self._listener, self._stop = request, listener, stop
        self._thresholds = Thresholds(request.min_identity, request.max_quality, request.fail_quality)
        self._started = time.monotonic()
        self._store = open_store(request.store)
        places = {
            "weights": request.weights,
            "detector": request.detector,
            "credentials": request.credentials,
            "syncnet": request.syncnet,
        }
        self._places = {name: uris.from_here(place) if place else "" for name, place in places.items()}
        self._heartbeat = Heartbeat(
            self._store, self.run_id, request.parameters() | {name: uri or None for name, uri in self._places.items()}
        )
        self._stack = ExitStack()
        self._ray = ray
        self._planned: dict[str, PlannedJob] = {}

    def __enter__(self) -> Self:
        request = self._request
        set_run_id(self.run_id)
        check_store(self._store)
        with self._stack:
            # Entered first, so that it also sends what the others write when they are left.
            self._stack.enter_context(sending_events(self._store, self._listener.note, self._stop.is_set))
            self._stack.enter_context(self._heartbeat)
            scratch = self._stack.enter_context(scratch_folder())
            self._config = WorkerConfig(
                store=self._store.url,
                **self._places,
                device=request.device,
                dtype=request.dtype,
                scratch=scratch,
                compile=request.compile,
                gpu_memory=request.gpu_memory,
                policy=request.allowed_inputs,
            )
            self._model = Model.at(self._config.weights, self._config.detector, self._config.dtype)
            weights_files = [*model_files(self._model.weights), self._model.detector]
            self._weights_state = {path: file_state(path) for path in weights_files}
            self._rows = self._stack.enter_context(RowBuffer(self._store, self.run_id))
            roles = self._roles()
            self._render_workers = next(role.workers for role in roles if role.name == RENDER)
            on_progress = self._listener.working
            self._pool: Pool = self._stack.enter_context(
                RayPool(roles, request.ray_address, self._stop, folder=scratch, on_progress=on_progress)
                if self._ray
                else LocalPool(roles, self._stop, on_progress=on_progress)
            )
            if request.stop_after is not None:
                timer = threading.Timer(request.stop_after, self._pool.drain)
                timer.daemon = True
                timer.start()
                self._stack.callback(timer.cancel)
            self._opened = self._stack.pop_all()
        return self

    def _roles(self) -> list[Role]:
        request = self._request
        if not self._ray:
            return worker_roles(self._config, stopped=self._stop.is_set)
        if request.ray_address:
            # Ray tries to reach a cluster for 40 seconds, and in the main thread would take SIGTERM for itself.
            return call_stoppable(
                partial(cluster_roles, self._config, request.ray_address, request.workers), self._raise_if_cancelled
            )
        return worker_roles(self._config, workers=request.workers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._heartbeat.fail(error)
            if self._heartbeat.started:
                self._log_failure(error)
        self._opened.__exit__(kind, error, trace)

    def plan(self) -> None:
        """Read the request, make the keys, commit the jobs that need no work, divide the others into shards.

        Raises:
            SettingsError, BadJob, WeightsError, StoreError: as above.
        """
        jobs = call_stoppable(lambda: self._request.job_list, self._raise_if_cancelled)
        if self._request.retry is None:
            write_request(self._store, self.run_id, jobs)
        committed = self._committed_statuses() if self._request.run_id else {}
        for file in self._request.left_out:
            self._listener.note(f"left out {file}")
        self._listener.note(f"run {self.run_id}: {counted(len(jobs), 'job')}, reading the inputs")
        requested = {job.job_id for job in jobs}
        others = [status for job_id, status in committed.items() if job_id not in requested]
        self._heartbeat.start(len(jobs) + len(others), others)
        try:
            plan = call_stoppable(
                lambda: plan_jobs(
                    self.run_id, jobs, self._store, self._model, self._request.policy, self._raise_if_cancelled
                ),
                self._raise_if_cancelled,
            )
        except Cancelled as error:
            plan = Plan(self.run_id, "", tuple(PlannedJob(job, error=error) for job in jobs))
        # Workers load them before they are hashed; after that, each worker checks that its own stay the same.
        if any(file_state(path) != state for path, state in self._weights_state.items()):
            raise WeightsError(
                f"the weights in {self._config.weights} changed while the run was being planned; run again"
            )
        self._outcomes = Outcomes(
            self._store,
            self.run_id,
            plan.weights,
            self._thresholds,
            self._rows,
            self._heartbeat,
            self._listener,
            committed,
        )
        self._listener.started(len(plan.jobs))
        started = datetime.now(UTC)
        missing: list[FilmSpec] = []
        for planned, facts in finished_films(self._store, plan.jobs, self._raise_if_cancelled, complete=True):
            if planned.spec is None or facts is not None:
                self._outcomes.without_work(planned, facts, started)
            else:
                self._planned[planned.job.job_id] = planned
                missing.append(planned.spec)
        # All load what they need at once, whoever is needed first.
        self._pool.start_workers(PREPROCESS, len(missing))
        self._pool.start_workers(RENDER, sum(not self._has_picture(spec) for spec in missing))
        self.shards = shards(missing, enough=JOBS_PER_RENDER_WORKER * self._render_workers)

    def encode_identities(self) -> None:
        """Encode every portrait that a picture needs, or load it from the store, so that workers have it in memory.

        One that cannot be encoded fails its jobs in their shards.
        """
        needed = [spec.picture for shard in self.shards for spec in shard if not self._has_picture(spec)]
        specs = {picture.portrait.key: picture.portrait for picture in needed}
        if specs:
            self._listener.note(f"preparing {counted(len(specs), 'portrait')}")
        items = map(portrait_item, specs.values())
        wait([self._outcomes.watch(item.key, self._pool.submit(item)) for item in items])

    def animate_shard(self, shard: Shard) -> None:
        """Render the pictures of a few portraits, and make the films of them; a job's row is committed as it ends.

        Raises:
            WeightsError, SettingsError, NoSpace: an error that all jobs would meet.
        """
        films: Sequence[FilmSpec] = shard
        for may_repeat in (True, False):
            started, again = datetime.now(UTC), list[FilmSpec]()
            # Jobs with the same film share its future.
            futures: dict[Future[Any], tuple[Sequence[str], list[FilmSpec]]] = {}
            for spec in films:
                items = work_items(spec, has_picture=may_repeat and self._has_picture(spec))
                *_, film = [self._outcomes.watch(item.key, self._pool.submit(item)) for item in items]
                futures.setdefault(film, ([item.key for item in items], []))[1].append(spec)
            pictures: set[str] = set()
            for future in as_completed(futures):
                keys, specs = futures.pop(future)
                stopped, error = self._stop.is_set(), future.exception()
                if may_repeat and isinstance(error, DamagedFile) and not stopped:
                    self._listener.note(f"{error.message}; rendered again")
                    again += specs
                else:
                    jobs = [self._planned.pop(spec.job.job_id) for spec in specs]
                    attempts = max(map(self._pool.attempts, keys[-2:]))
                    self._outcomes.ended(jobs, future, keys, started=started, attempts=attempts, stopped=stopped)
                    if isinstance(error, WeightsError | SettingsError | NoSpace) and not stopped:
                        self._pool.stop()
                        raise error
                # No other shard has this film or its picture: nothing of them is kept until the run's end.
                self._drop(keys[-1])
                pictures.update(keys[-2:-1])
            for key in pictures:
                self._drop(key)
            films = again

    def _drop(self, key: str) -> None:
        self._pool.forget(key)
        self._outcomes.forget(key)

    def _has_picture(self, spec: FilmSpec) -> bool:
        return self._planned[spec.job.job_id].has_picture

    def publish(self) -> Summary:
        """Commit the remaining rows, write manifest and report, and return the summary.

        Raises:
            StoreError: rows, manifest or report cannot be written; the renders exist, and running again reuses them.
        """
        self._rows.commit()
        manifest = write_manifest(self._store, self.run_id)
        report = write_report(self._store, self.run_id)
        if (reviewed := apply_rules(self._store, self.run_id)) is not None:
            self._listener.note(reviewed.line())
        outcomes = self._outcomes
        summary = Summary(
            run_id=self.run_id,
            counts=dict(outcomes.counts),
            pictures=outcomes.pictures,
            films=outcomes.films,
            flagged=outcomes.flagged,
            uncovered=outcomes.uncovered,
            frames=outcomes.frames,
            evaluations=outcomes.evaluations,
            files_put=outcomes.files_put,
            seconds=time.monotonic() - self._started,
            manifest=self._store.uri(manifest),
            report=self._store.uri(report),
        )
        identities = {job.identity for job in self._request.job_list}
        facts = {
            "run_id": self.run_id,
            "counts": summary.counts,
            "manifest_sha256": hashlib.sha256(self._store.read(manifest)).hexdigest(),
        }
        append_audit(self._store, "run", facts, identities)
        self._heartbeat.finish(summary.line())
        return summary

    def _log_failure(self, error: BaseException) -> None:
        """Record in the audit log, from which events are made, that the run ended without a manifest."""
        # Not the error's text, which may name people.
        kind = error.kind if isinstance(error, TroupeError) else "internal"
        facts = {"run_id": self.run_id, "state": self._heartbeat.state, "error_kind": kind}
        try:
            append_audit(self._store, "run", facts | {"counts": self._heartbeat.counts})
        except StoreError as failure:  # the error that ended the run is raised
            _log.warning("cannot record the end of run %s in the audit log: %s", self.run_id, failure)

    def _raise_if_cancelled(self) -> None:
        if self._stop.is_set():
            raise Cancelled(STOPPED)

    def _committed_statuses(self) -> dict[str, str]:
        """Return the statuses of the jobs that have a row already, by job_id."""
        rows = latest_rows(
            snapshot(self._store, self.run_id).read(columns=["run_id", "job_id", "status", "recorded_at"])
        )
        return {str(job): str(status) for job, status in zip(rows.column("job_id"), rows.column("status"), strict=True)}

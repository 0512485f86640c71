"""One run, from its request to its manifest: what the flow's steps share and do."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, as_completed, wait
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from catalogs.report import write_report
from catalogs.requests.jobs_file import cross, read_jobs, read_request, write_request
from catalogs.store.store import open_store
from catalogs.store.uris import scheme
from catalogs.table.manifest import write_manifest
from catalogs.table.row_buffer import RowBuffer
from catalogs.table.snapshot import latest, snapshot
from tasks.pool import LocalPool, Pool, RayPool, Role, WorkItem
from tasks.quality import Thresholds
from tasks.run.heartbeat import Record
from tasks.run.planning import Plan, PlannedJob, finished_renders, plan_jobs, shards
from tasks.run.result_row import row_of
from tasks.run.sizing import RENDER, cluster_roles, worker_roles
from tasks.run.work_items import portrait_item, render_key, work_items
from tasks.steps.context import WorkerConfig, local_detector
from tasks.steps.specs import Done, Rendered, RenderSpec
from tasks.weights.local_copy import local_weights
from troupe import Job
from troupe.errors import Cancelled, InputError, NoSpace, SettingsError, TroupeError, WeightsError
from troupe.log_context import set_run_id
from troupe.scratch import scratch_folder

__all__ = ["Listener", "Request", "Run", "Summary"]

JOBS_A_PERFORMER = 8
"""In a shard, of which a few are worked on at once: enough to choose from."""


class Listener(Protocol):
    """Told what happens in a run; called from several threads."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def begin(self, jobs: int) -> None:
        """So many jobs are going to be worked on."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """A job ended: its row of the manifest."""


@dataclass(frozen=True)
class Request:
    """What a run is asked to do; the flow's parameters say more.

    Attributes:
        defaults: cells of the jobs file's columns, for jobs that have none.
        min_identity, max_quality, fail_quality: as `tasks.quality.Thresholds` has them.
        retry: of the run `run_id`, do the failed jobs again, all or those with one of these kinds of error; None is
            a run of its own.
    """

    store: str
    weights: str
    jobs: str | None = None
    portraits: str | None = None
    drivings: str | None = None
    detector: str | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    preview: float | None = None
    require_consent: bool = False
    min_identity: float | None = None
    max_quality: Mapping[str, float] = field(default_factory=dict)
    fail_quality: bool = False
    device: str = "auto"
    dtype: str = "auto"
    compile: bool = False
    gpu_memory: float | None = None
    run_id: str | None = None
    ray_address: str | None = None
    workers: int | None = None
    stop_after: float | None = None
    retry: tuple[str, ...] | None = None

    def parameters(self) -> dict[str, Any]:
        """All of it as the flow's parameters."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def read(self) -> list[Job]:
        """The jobs asked for, the first `limit` of them, with at most `preview` seconds of every clip.

        Raises:
            BadJob: rows that cannot be used, all at once.
            SettingsError: the request contradicts itself.
        """
        if self.retry is not None:
            return self._failed(self.retry)
        if self.jobs is not None and (self.portraits or self.drivings):
            raise SettingsError("give a jobs file or --portraits and --drivings, not both")
        if self.jobs is not None:
            jobs = read_jobs(self.jobs, self.defaults, require_consent=self.require_consent)
        elif self.portraits and self.drivings:
            jobs = cross(self.portraits, self.drivings, self.defaults, require_consent=self.require_consent)
        else:
            raise SettingsError("nothing to do: give a jobs file, or --portraits DIR and --drivings DIR")
        if self.limit is not None:
            jobs = jobs[: self.limit]
        if self.preview is not None:
            jobs = [_previewed(job, self.preview) for job in jobs]
        return jobs

    def _failed(self, kinds: Sequence[str]) -> list[Job]:
        if not self.run_id:
            raise SettingsError("name the run whose failed jobs are to be done again")
        store = open_store(self.store)
        columns = ["run_id", "job_id", "status", "recorded_at", "error_kind"]
        rows = latest(snapshot(store, self.run_id).read(columns=columns))
        failed = {row["job_id"]: row["error_kind"] for row in rows.to_pylist() if row["status"] == "failed"}
        unknown = set(kinds) - set(failed.values())
        if unknown:
            there = ", ".join(sorted(set(failed.values()))) or "none at all"
            raise SettingsError(f"run {self.run_id} has no failures of kind {', '.join(sorted(unknown))}, only {there}")
        wanted = {job_id for job_id, kind in failed.items() if not kinds or kind in kinds}
        return [job for job in read_request(store, self.run_id) if job.job_id in wanted]


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        counts: jobs by status.
        frames: rendered in this run.
        evaluations: of the denoiser in this run: frames that went through it, once a branch and step.
        files_put: into caches and renders, in this run.
        seconds: from request to manifest.
        manifest: its URI.
        report: URI of the page that shows it all.
    """

    run_id: str
    counts: Mapping[str, int]
    frames: int
    evaluations: int
    files_put: int
    seconds: float
    manifest: str
    report: str = ""

    def line(self) -> str:
        """All of it in a line."""
        order = ("done", "reused", "failed", "cancelled")
        counts = ", ".join(f"{self.counts[status]} {status}" for status in order if self.counts.get(status))
        return (
            f"run {self.run_id}: {counts or 'no jobs'}; {self.frames} frames rendered, {self.evaluations} network "
            f"evaluations, {self.files_put} files put, {self.seconds:.1f} s"
        )

    def markdown(self) -> str:
        """For a page of Prefect's."""
        rows = "\n".join(f"| {status} | {count} |" for status, count in sorted(self.counts.items()))
        files = f"`{self.report}`\n\n`{self.manifest}`\n"
        return f"# Run {self.run_id}\n\n| status | jobs |\n| --- | --- |\n{rows}\n\n{self.line()}\n\n{files}"

    def as_dict(self) -> dict[str, Any]:
        """Small plain values."""
        return asdict(self)


def _anywhere(uri: str) -> str:
    """What names the same from every working folder."""
    return uri if scheme(uri) else str(Path(uri.removeprefix("file://")).expanduser().absolute())


def _previewed(job: Job, seconds: float) -> Job:
    end = job.start + seconds
    return replace(job, end=end if job.end is None else min(job.end, end))


class Run:
    """A run in progress. Steps call its methods in the order in which they stand here.

    Args:
        request: what to do.
        tell: whom to tell of it.
        stop: when set, work ends within seconds, and what is finished is committed.
        ray: whether workers are Ray actors, or this process itself.

    Raises:
        SettingsError, BadJob, WeightsError: the request cannot be carried out as it is.
        StoreError: the store cannot be written.
    """

    def __init__(self, request: Request, tell: Listener, stop: threading.Event, *, ray: bool) -> None:
        self.run_id = request.run_id or datetime.now(UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
        self.shards: tuple[tuple[RenderSpec, ...], ...] = ()
        self._request, self._tell, self._stop = request, tell, stop
        self._thresholds = Thresholds(request.min_identity, request.max_quality, request.fail_quality)
        self._since = time.monotonic()
        self._store = open_store(request.store)
        self._weights_uri = _anywhere(request.weights)
        self._detector_uri = _anywhere(request.detector) if request.detector else ""
        places = {"weights": self._weights_uri, "detector": self._detector_uri or None}
        self._record = Record(self._store, self.run_id, request.parameters() | places)
        self._stack = ExitStack()
        self._ray = ray
        self._lock = threading.Lock()
        self._unclaimed: dict[str, Future[Any]] = {}
        self._submitted: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._evaluations = self._frames = self._puts = 0

    def __enter__(self) -> Self:
        request = self._request
        set_run_id(self.run_id)
        self._store.check()
        with self._stack:
            self._stack.enter_context(self._record)
            scratch = self._stack.enter_context(scratch_folder())
            self._setup = WorkerConfig(
                store=request.store,
                weights=self._weights_uri,
                detector=self._detector_uri,
                device=request.device,
                dtype=request.dtype,
                scratch=scratch,
                compile=request.compile,
                gpu_memory=request.gpu_memory,
            )
            self._weights_here, self._detector_here = local_weights(self._setup.weights), local_detector(self._setup)
            self._ledger = self._stack.enter_context(RowBuffer(self._store, self.run_id))
            roles = self._roles()
            self._performers = next(role.workers for role in roles if role.name == RENDER)
            self._pool: Pool = self._stack.enter_context(
                RayPool(roles, request.ray_address, self._stop, folder=scratch)
                if self._ray
                else LocalPool(roles, self._stop)
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
            return worker_roles(self._setup, stopped=self._stop.is_set)
        if request.ray_address:
            return cluster_roles(self._setup, request.ray_address, request.workers)
        return worker_roles(self._setup, workers=request.workers)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._record.broken(error)
        self._opened.__exit__(kind, error, trace)

    def plan(self) -> None:
        """Read the request, make the keys, commit what needs no work, share out what does.

        Raises:
            SettingsError, BadJob, WeightsError, StoreError: as above.
        """
        jobs = self._request.read()
        if self._request.retry is None:
            write_request(self._store, self.run_id, jobs)
        self._committed = self._rows_so_far() if self._request.run_id else {}
        self._tell.note(f"run {self.run_id}: {len(jobs)} jobs, reading their inputs")
        setup = self._setup
        asked = {job.job_id for job in jobs}
        others = [status for job_id, status in self._committed.items() if job_id not in asked]
        self._record.begin(len(jobs) + len(others), others)
        try:
            plan = plan_jobs(
                self.run_id,
                jobs,
                self._store,
                self._weights_here,
                self._detector_here,
                setup.dtype,
                self._raise_if_cancelled,
            )
        except Cancelled as error:
            plan = Plan(self.run_id, "", tuple(PlannedJob(job, error=error) for job in jobs))
        self._weights = plan.weights
        self._planned: dict[str, PlannedJob] = {}
        self._tell.begin(len(plan.jobs))
        now = datetime.now(UTC)
        to_do: list[RenderSpec] = []
        for planned, facts in finished_renders(self._store, plan.jobs, self._raise_if_cancelled):
            if planned.spec is None:
                status = "cancelled" if isinstance(planned.error, Cancelled) else "failed"
                self._commit(planned, status, started=now, error=planned.error)
            elif facts is None:
                self._planned[planned.job.job_id] = planned
                to_do.append(planned.spec)
            else:
                # A run that was killed between a render and its row finds its own work again.
                own = (facts.get("run_id"), facts.get("job_id")) == (self.run_id, planned.job.job_id)
                stages = facts.get("stage_seconds") if own else None
                self._commit(planned, "done" if own else "reused", started=now, facts=facts, stages=stages)
        self.shards = shards(to_do, enough=JOBS_A_PERFORMER * self._performers)

    def encode_identities(self) -> None:
        """Encode every identity that is needed. One that cannot be fails its jobs, when their turn comes."""
        specs = {spec.portrait.key: spec.portrait for shard in self.shards for spec in shard}
        self._tell.note(f"encoding {len(specs)} identities")
        wait([self._submit(portrait_item(spec)) for spec in specs.values()])

    def animate(self, shard: Sequence[RenderSpec]) -> None:
        """Render a shard; every job's row is committed as the job ends.

        Raises:
            WeightsError, SettingsError, NoSpace: what concerns all jobs alike.
        """
        started = datetime.now(UTC)
        futures: dict[Future[Any], list[RenderSpec]] = {}
        for spec in shard:
            *_, render = [self._submit(work) for work in work_items(spec)]
            # Jobs that ask for the same render share its future.
            futures.setdefault(render, []).append(spec)
        for future in as_completed(futures):
            specs = futures.pop(future)
            for number, spec in enumerate(specs):
                self._end(spec, future, started, shared=number > 0)
            self._forget(render_key(specs[0]))

    def publish(self) -> Summary:
        """Commit what is left, write the manifest and sum up.

        Raises:
            StoreError: rows or manifest could not be written; the renders are there, and running again finds them.
        """
        self._ledger.commit()
        manifest = write_manifest(self._store, self.run_id)
        report = write_report(self._store, self.run_id)
        summary = Summary(
            run_id=self.run_id,
            counts=dict(self._counts),
            frames=self._frames,
            evaluations=self._evaluations,
            files_put=self._puts,
            seconds=time.monotonic() - self._since,
            manifest=self._store.uri(manifest),
            report=self._store.uri(report),
        )
        self._record.end(summary.line())
        return summary

    def _raise_if_cancelled(self) -> None:
        if self._stop.is_set():
            raise Cancelled("the run was stopped before this job; run again to go on")

    def _submit(self, work: WorkItem) -> Future[Any]:
        future = self._pool.submit(work)
        with self._lock:
            first = work.key not in self._submitted
            self._submitted.add(work.key)
            if first:
                self._unclaimed[work.key] = future
        if first:
            future.add_done_callback(self._count)
        return future

    def _forget(self, key: str) -> None:
        """No other shard has this work: what is known of it need not be kept until the end."""
        self._pool.forget(key)
        with self._lock:
            self._submitted.discard(key)
            self._unclaimed.pop(key, None)

    def _count(self, future: Future[Any]) -> None:
        """Add up what a work did; each is counted once, however many jobs need it."""
        if future.exception() is not None:
            return
        done: Done = future.result()
        with self._lock:
            self._puts += done.puts
            if isinstance(done, Rendered):
                self._evaluations += done.evaluations
                self._frames += 0 if done.reused else done.facts["frames"]

    def _end(self, spec: RenderSpec, future: Future[Any], started: datetime, *, shared: bool) -> None:
        """Commit the row of a job whose render has ended, this way or that."""
        planned, attempts = self._planned.pop(spec.job.job_id), self._pool.attempts(render_key(spec))
        error = future.exception()
        if error is None:
            rendered: Rendered = future.result()
            status = "reused" if rendered.reused or shared else "done"
            stages = {} if shared else self._stages(spec, started)
            self._commit(planned, status, started=started, facts=rendered.facts, stages=stages, attempts=attempts)
            return
        if not isinstance(error, TroupeError):
            raise error
        status = "failed"
        # A signal to our process group ends ffmpeg's processes, too.
        ended = self._stop.is_set() and not isinstance(error, InputError)
        if ended or isinstance(error, Cancelled):
            status, error = "cancelled", Cancelled("the run was stopped before this job; run again to go on")
        self._commit(planned, status, started=started, error=error, attempts=attempts)
        if isinstance(error, WeightsError | SettingsError | NoSpace):
            self._pool.stop()
            raise error  # It would be the same for every other job.

    def _stages(self, spec: RenderSpec, started: datetime) -> dict[str, float]:
        """Seconds by stage of the render and of what it needed.

        An identity's and a clip's count for the first job that ends with them. `queue` is what remains of the time
        that went by.
        """
        passed = (datetime.now(UTC) - started).total_seconds()
        with self._lock:
            claimed = [self._unclaimed.pop(work.key, None) for work in work_items(spec)]
        total: Counter[str] = Counter()
        for future in claimed:
            if future is not None:
                total.update(future.result().seconds)
        return {**total, "queue": max(0.0, passed - total.total())}

    def _rows_so_far(self) -> dict[str, str]:
        """Of a run that is resumed, the status of every job that has a row."""
        rows = latest(snapshot(self._store, self.run_id).read(columns=["run_id", "job_id", "status", "recorded_at"]))
        return {str(job): str(status) for job, status in zip(rows.column("job_id"), rows.column("status"), strict=True)}

    def _commit(self, planned: PlannedJob, status: str, *, started: datetime, **outcome: Any) -> None:
        status, outcome = self._thresholds.judged(status, outcome)
        row = row_of(
            planned,
            run_id=self.run_id,
            weights=self._weights,
            store=self._store,
            status=status,
            started=started,
            **outcome,
        )
        if self._committed.get(planned.job.job_id) not in ("done", "reused"):
            # A stopped run may have thousands of jobs that were not begun, and has seconds to say so.
            self._ledger.append(row, may_wait=status == "cancelled")
        with self._lock:
            self._counts[status] += 1
        self._record.count(status)
        self._tell.finished(row)

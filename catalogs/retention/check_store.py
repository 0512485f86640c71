"""Check the files of a store against their digests, and repair what can be repaired."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.query.jobs import list_jobs
from catalogs.requests.access.persistent_dict import digest_name, name_fits
from catalogs.retention.check_people import check_people
from catalogs.retention.check_rows import check_decisions, check_rows
from catalogs.retention.evict import CACHES
from catalogs.store.digests import add_digest, digest_key, discard, read_digests
from catalogs.store.renders import (
    PICTURES,
    Record,
    check_files,
    complete_record,
    discard_render,
    file_keys,
    find_record,
    record_key,
)
from catalogs.store.store import Store
from catalogs.table.exports import EXPORTS_FOLDER, read_export
from catalogs.table.runs import read_run
from catalogs.table.schema import WITH_VIDEO
from troupe.errors import DamagedFile, SettingsError, StoreError

__all__ = ["CheckReport", "Problem", "check_store"]

RENDERS = ("renders", PICTURES)
MEMOS = ("cache/hashes", "cache/lengths", "cache/traits", "cache/faces")
_THREADS = 8
RUN_AGAIN = "run its jobs again"


@dataclass(frozen=True)
class Problem:
    """Something that is damaged.

    Attributes:
        what: the file, and what is wrong with it.
        repaired: whether it was repaired, or removed so that it is made again.
        remedy: what is left to do; empty for nothing.
    """

    what: str
    repaired: bool
    remedy: str = ""


@dataclass(frozen=True)
class CheckReport:
    """Result of a check.

    Attributes:
        checked: number of cached files, renders and runs.
        hashed_bytes: number of bytes read and hashed.
        unverified: files without a digest, because an earlier version wrote them or because it was lost. Their content
            cannot be verified; a repair adds digests of what they contain.
        problems: what is damaged.
    """

    checked: int
    hashed_bytes: int
    unverified: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def without_digest(self) -> int:
        """Number of files without a digest."""
        return len(self.unverified)

    def line(self) -> str:
        """Return a summary in one line."""
        repaired = sum(problem.repaired for problem in self.problems)
        return (
            f"{self.checked} cached files, renders and runs checked, {self.hashed_bytes / 1e6:.1f} MB hashed, "
            f"{self.without_digest} without digest, {len(self.problems)} damaged, {repaired} repaired"
        )


def check_store(store: Store, *, deep: bool = False, repair: bool = False) -> CheckReport:
    """Check caches, renders, runs and catalog of a store.

    Args:
        deep: whether to hash the content of all files, and to compare the catalog's rows with the manifests. Otherwise
            existence and size of the renders' files are checked, and everything small.
        repair: whether to remove what is damaged, so that the next run makes it again; to write manifests and rows
            again from each other; and to add digests to files of earlier versions.

    Raises:
        SettingsError: a run is live that a repair would disturb.
        StoreError: the store cannot be read or written.
    """
    return _Check(store, deep, repair).run()


@dataclass(frozen=True, slots=True)
class _Job:
    """A finished job of a run, and the checksum in its row."""

    run_id: str
    job_id: str
    checksum: str | None

    def __str__(self) -> str:
        return f"job {self.job_id} of run {self.run_id}"


class _Check:
    def __init__(self, store: Store, deep: bool, repair: bool) -> None:
        self._store, self._deep, self._repair = store, deep, repair
        self._hashed = 0
        self._unverified: list[str] = []
        self._problems: list[Problem] = []
        self._finished: dict[str, list[_Job]] = {}
        self._forgotten: set[str] = set()

    def run(self) -> CheckReport:
        runs = sorted({key.split("/")[1] for key in self._store.list("runs") if key.count("/") > 1})
        if self._repair and (live := [run_id for run_id in runs if self._is_live(run_id)]):
            raise SettingsError(f"{', '.join(live)} is running; repair {self._store.url} when it has ended")
        checks: list[Callable[[], None]] = []
        checks += [lambda key=key: self._cached(key) for key in self._cached_files()]  # type: ignore[misc]
        self._read_jobs()
        folders = {key.rpartition("/")[0] for place in RENDERS for key in self._store.list(place)}
        checks += [lambda folder=folder: self._render(folder) for folder in sorted(folders | self._finished.keys())]  # type: ignore[misc]
        memos = [key for folder in MEMOS for key in self._store.list(folder)]
        checks += [lambda key=key: self._memo(key) for key in memos]  # type: ignore[misc]
        checks += [lambda run=run: self._run(run) for run in runs]  # type: ignore[misc]
        checks += [lambda key=key: self._export(key) for key in self._store.list(EXPORTS_FOLDER)]  # type: ignore[misc]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="check") as threads:
            list(threads.map(lambda check: check(), checks))
        for what, remedy in check_people(self._store, self._forgotten):
            self._problems.append(Problem(what, False, remedy))
        rows = check_rows(self._store, runs, deep=self._deep, repair=self._repair)
        for what, repaired, remedy in chain(rows, check_decisions(self._store, deep=self._deep, repair=self._repair)):
            self._problems.append(Problem(what, repaired, remedy))
        problems = tuple(sorted(self._problems, key=lambda problem: problem.what))
        return CheckReport(len(checks), self._hashed, tuple(sorted(self._unverified)), problems)

    def _cached_files(self) -> Iterator[str]:
        """Yield the cached files without digests and, where their file exists, thumbnails."""
        for folder in CACHES:
            keys = set(self._store.list(folder))
            mains = {key for key in keys if PurePosixPath(key).suffix not in (".sha256", ".jpg")}
            stems = {digest_key(key) for key in mains}
            yield from sorted(mains)
            for key in sorted(keys - mains):  # what is left of an evicted or deleted file
                if digest_key(key) not in stems and self._repair:
                    self._store.delete(key)

    def _cached(self, key: str) -> None:
        thumbnail = str(PurePosixPath(key).with_suffix(".jpg"))
        try:
            digests = read_digests(self._store, key)
            for place in (key, thumbnail):
                name = PurePosixPath(place).name
                if place == thumbnail and name not in digests:
                    continue
                expected, size = digests.get(name), self._store.size(place)
                if not size:
                    raise DamagedFile(f"{self._store.uri(place)} is {'missing' if size is None else 'empty'}")
                if expected is None:
                    self._unverified.append(str(self._store.uri(place)))
                    if self._repair:
                        add_digest(self._store, place, self._sha256(place, size))
                elif self._deep and self._sha256(place, size) != expected:
                    raise DamagedFile(f"{self._store.uri(place)} is damaged: its SHA-256 is not that of its digest")
        except DamagedFile as error:
            self._damaged(error, lambda: discard(self._store, key))

    def _read_jobs(self) -> None:
        """Read the jobs of the catalog, as far as it can be read: otherwise `check_rows` reports it."""
        names = ("status", "render_key", "run_id", "job_id", "checksum", "identity", "error_kind")
        with suppress(StoreError):
            for row in list_jobs(self._store, columns=names).to_pylist():
                if row["status"] == "forgotten" and row["identity"]:
                    if row["error_kind"] is None:  # not because one permission was revoked
                        self._forgotten.add(row["identity"])
                elif row["status"] in WITH_VIDEO and row["render_key"]:
                    job = _Job(row["run_id"], row["job_id"], row["checksum"])
                    self._finished.setdefault(f"renders/{row['render_key']}", []).append(job)

    def _render(self, folder: str) -> None:
        finished, place = self._finished.get(folder, []), str(self._store.uri(record_key(folder)))
        try:
            record = find_record(self._store, folder)
            if record is None:
                if finished:
                    raise DamagedFile(f"{place} is missing, although {finished[0]} is finished")
                return  # unfinished: made again by the next run, or removed by maintenance
            if "digest" not in record:
                self._unverified.append(place)
            if self._deep:
                record = self._compared(record, finished)
                check_files(self._store, record, deep=True)
                self._hashed += sum(self._store.size(file) or 0 for file in self._store.list(folder))
            if self._repair:
                complete_record(self._store, record)
                for file in set(self._store.list(folder)) - {*file_keys(record), record_key(folder)}:
                    self._store.delete(file)  # of a worker that finished the same render later
        except DamagedFile as error:
            self._damaged(error, lambda: discard_render(self._store, folder), RUN_AGAIN)

    def _compared(self, record: Record, finished: Iterable[_Job]) -> Record:
        """Compare a record with the row of the job that made the render; one that lost its digest may be wrong.

        Raises:
            DamagedFile: they differ, and the video is not that of the row.
        """
        maker = (record["run_id"], record["job_id"])
        job = next((job for job in finished if (job.run_id, job.job_id) == maker), None)
        if job is None or job.checksum in (None, record["checksum"]):
            return record
        where = self._store.uri(record_key(f"renders/{record['key']}"))
        problem = DamagedFile(f"{where} is damaged: its checksum is not that of {job}")
        healed = {**record, "checksum": job.checksum}
        try:
            check_files(self._store, healed, deep=True)
        except DamagedFile:
            raise problem from None
        self._damaged(problem, lambda: None)
        return healed

    def _memo(self, key: str) -> None:
        data = self._store.read(key)
        try:
            if not name_fits(key, data):
                raise ValueError("its content is not that of its digest")
            pq.read_table(io.BytesIO(data)) if key.endswith(".parquet") else json.loads(data)
        except (pa.ArrowException, OSError, ValueError) as error:
            damaged = DamagedFile(f"{self._store.uri(key)} is damaged: {' '.join(str(error).split())[:200]}")
            self._damaged(damaged, lambda: self._store.delete(key))
            return
        if (named := digest_name(key, data)) != key:
            self._unverified.append(str(self._store.uri(key)))
            if self._repair:
                self._store.replace(data, named)
                self._store.delete(key)

    def _is_live(self, run_id: str) -> bool:
        try:
            return read_run(self._store, run_id).live
        except (StoreError, SettingsError):
            return False

    def _run(self, run_id: str) -> None:
        request = f"runs/{run_id}/request.parquet"
        if self._store.exists(request):
            try:
                pq.read_table(io.BytesIO(self._store.read(request)), page_checksum_verification=True)
            except (pa.ArrowException, OSError) as error:
                what = f"{self._store.uri(request)} is damaged: {' '.join(str(error).split())[:200]}"
                self._problems.append(Problem(what, False, "do not retry this run, but run the jobs file again"))
        if not self._store.exists(f"runs/{run_id}/run.json"):
            return
        try:
            read_run(self._store, run_id)
        except StoreError as error:
            self._damaged(error, lambda: self._store.delete(f"runs/{run_id}/run.json"))

    def _export(self, key: str) -> None:
        try:
            read_export(self._store, key)
        except StoreError as error:
            remedy = (
                "restore it from a backup, or remove it: forgetting a person will not list the copies of this export"
            )
            self._problems.append(Problem(error.message.removesuffix("; remove it"), False, remedy))

    def _damaged(self, error: StoreError, repair: Callable[[], None], remedy: str = "") -> None:
        if self._repair:
            repair()
        self._problems.append(Problem(error.message, self._repair, remedy if self._repair else "use --repair"))

    def _sha256(self, key: str, size: int) -> str:
        sha256 = self._store.sha256(key)
        self._hashed += size
        return sha256

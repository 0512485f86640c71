"""The request of a run: its parameters, and the jobs that they name."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self, get_args

from catalogs.requests.access.input_policy import ANY_PUBLIC, InputPolicy, allowed_entries, input_policy
from catalogs.requests.drafts import Rules
from catalogs.requests.jobs_file import IdentityFrom, cross_product, job_cells, read_jobs, read_request
from catalogs.requests.missing_files import missing_files
from catalogs.store import uris
from catalogs.store.policy import StorePolicy, read_policy
from catalogs.store.store import open_store
from tasks.credentials.signer import Signer, configured_signer
from tasks.run.inputs.file_problems import FileProblems
from tasks.run.policy import RunPolicy
from troupe import Job
from troupe.errors import SettingsError, SigningError

__all__ = ["Request", "new_run_id"]


@dataclass(frozen=True)
class Request:
    """The parameters of a run, as the flow `animate` documents them.

    Attributes:
        defaults: cells by column of the jobs file, for jobs that leave them empty.
        identity_from: part of the portrait's path that is the identity of jobs without one.
        min_identity, max_quality, fail_quality: see `tasks.quality.Thresholds`.
        syncnet: file of the SyncNet that measures new films; see `tasks.quality.syncnet`.
        allow_input: folders, buckets and hosts from which the jobs' inputs may be read; see `allowed_inputs`.
        retry: kinds of error; the failed jobs of `run_id` with one of them are done again, or all if there are none
            given. None requests a new run.
        credentials: folder of the signer's certificate and key, the same path on every machine; None for what the
            environment of each worker names.
        require_signature: whether to refuse the request if there is no signer.
    """

    store: str
    weights: str
    jobs: str | None = None
    portraits: str | None = None
    drivings: str | None = None
    detector: str | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    preview: float | None = None
    require_consent: bool = False
    identity_from: IdentityFrom | None = None
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
    allow_input: Sequence[str] = ANY_PUBLIC
    retry: tuple[str, ...] | None = None
    credentials: str | None = None
    require_signature: bool = False
    syncnet: str | None = None

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Return the request with these parameters; None stands for the default, other names are ignored."""
        given = {f.name: parameters[f.name] for f in fields(cls) if parameters.get(f.name) is not None}
        if "retry" in given:
            given["retry"] = tuple(given["retry"])
        if "allow_input" in given:
            given["allow_input"] = tuple(given["allow_input"])
        return cls(**given)

    def parameters(self) -> dict[str, Any]:
        """Return all parameters by name, as the flow accepts them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def store_policy(self) -> StorePolicy:
        """The policy of the store. Read once: a change holds from the next run on.

        Raises:
            SettingsError: it is invalid.
            StoreError: it cannot be read.
        """
        return read_policy(open_store(self.store))

    @cached_property
    def allowed_inputs(self) -> InputPolicy:
        """Which inputs the jobs may name: those below what the request names itself, and what it allows.

        Raises:
            SettingsError: `allow_input` or the policy of the store is invalid.
            StoreError: the policy cannot be read.
        """
        folders = [self.portraits, self.drivings, uris.parent(self.jobs) if self.jobs else None]
        named = [folder for folder in folders if folder]
        allow = allowed_entries(self.allow_input)  # before the store is asked
        return input_policy(open_store(self.store), self.store_policy, allow, named)

    @property
    def policy(self) -> RunPolicy:
        """What the run has to keep to.

        Raises:
            SettingsError, StoreError, SigningError: as `allowed_inputs` and `signing_key`.
        """
        return RunPolicy(
            self.allowed_inputs, self.store_policy, self.require_consent, self.signing_key(self.store_policy)
        )

    @cached_property
    def signer(self) -> Signer | None:
        """The signer of the films, as this process has it; None if none is configured.

        Raises:
            SigningError: its settings are incomplete or contradict each other.
        """
        return configured_signer(self.credentials or "")

    def signing_key(self, policy: StorePolicy) -> str:
        """Return the key of the run's signer; empty for none.

        Args:
            policy: the policy of the store.

        Raises:
            SigningError: there is no signer, and the request or the policy requires one; or its settings are invalid.
        """
        if self.signer is not None:
            return self.signer.key
        if self.require_signature or policy.require_signature:
            who = "--require-signature" if self.require_signature else f"the policy of {self.store}"
            raise SigningError(
                f"{who} requires signatures, and no signer is configured; give --credentials DIR, or set "
                "TROUPE_SIGNING_CERTIFICATE and TROUPE_SIGNING_KEY; see docs/provenance.md"
            )
        return ""

    @cached_property
    def left_out(self) -> list[str]:
        """Names of files in the folders of portraits and clips that `job_list` left out, with the reason."""
        return []

    @cached_property
    def job_list(self) -> list[Job]:
        """The requested jobs, the first `limit` of them, with at most `preview` seconds of every clip. Read once.

        Raises:
            BadJob: rows are invalid; all problems are reported together.
            SettingsError: the request contradicts itself.
        """
        if self.retry is not None:
            return self._failed_jobs(self.retry)
        if self.identity_from not in (None, *get_args(IdentityFrom)):
            raise SettingsError(f"--identity-from is {self.identity_from!r}; use {' or '.join(get_args(IdentityFrom))}")
        if self.jobs is not None and (self.portraits or self.drivings):
            raise SettingsError("give a jobs file or --portraits and --drivings, not both")
        with FileProblems() as file_problem:
            rules = Rules(self.require_consent, self.identity_from, lambda: self.allowed_inputs, file_problem)
            if self.jobs is not None:
                jobs = read_jobs(self.jobs, self.defaults, rules, first=self.limit)
            elif self.portraits and self.drivings:
                jobs = cross_product(
                    self.portraits, self.drivings, self.defaults, rules, first=self.limit, left_out=self.left_out
                )
            else:
                missing = "--drivings" if self.portraits else "--portraits" if self.drivings else ""
                needed = "give a jobs file, or --portraits DIR and --drivings DIR"
                raise SettingsError(f"{missing} is missing; {needed}" if missing else f"nothing to do: {needed}")
        if self.preview is not None:
            jobs = [_shortened(job, self.preview) for job in jobs]
        return jobs

    def missing_files(self, known: Collection[str]) -> list[str]:
        """Return which local files of the jobs cannot be used, for a request that has other problems.

        Args:
            known: these problems.
        """
        with FileProblems() as file_problem:
            rows = ((job.job_id, job_cells(job)) for job in self.job_list)
            return missing_files(rows, lambda: self.allowed_inputs, known, file_problem)

    def _failed_jobs(self, kinds: Sequence[str]) -> list[Job]:
        if not self.run_id:
            raise SettingsError("retry needs a run_id: name the run whose failed jobs are to be done again")
        # Imported late: a wrong request is refused at once, and only this reads the catalog.
        from catalogs.table.snapshot import latest_rows, snapshot

        store = open_store(self.store)
        columns = ["run_id", "job_id", "status", "recorded_at", "error_kind"]
        rows = latest_rows(snapshot(store, self.run_id).read(columns=columns))
        failed = {row["job_id"]: row["error_kind"] for row in rows.to_pylist() if row["status"] == "failed"}
        unknown = set(kinds) - set(failed.values())
        if unknown:
            existing = ", ".join(sorted(set(failed.values()))) or "none at all"
            raise SettingsError(
                f"run {self.run_id} has no failures of kind {', '.join(sorted(unknown))}, only {existing}"
            )
        wanted = {job_id for job_id, kind in failed.items() if not kinds or kind in kinds}
        return [job for job in read_request(store, self.run_id) if job.job_id in wanted]


def new_run_id() -> str:
    """Return the name of a run that was given none: date, time and a random part."""
    return datetime.now(UTC).strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)


def _shortened(job: Job, seconds: float) -> Job:
    """Return the job with the clip's start only, and as much of its sound."""
    end = job.start + seconds
    return replace(job, end=end if job.end is None else min(job.end, end), fit="cut")

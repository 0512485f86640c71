"""What a store allows a job: its policy, its register of permissions and its forget list together."""

from __future__ import annotations

from dataclasses import replace

from catalogs.consent.permission import Permission
from catalogs.consent.register import ConsentCheck
from catalogs.retention.forget import ForgetList
from catalogs.store.policy import StorePolicy
from catalogs.store.store import Store
from troupe import Job
from troupe.errors import InputError, NotAllowed

__all__ = ["LABELS", "StoreRules"]

LABELS = ("ai-generated", "ai-modified")
"""Labels that a job may have where the policy of the store asks for another one."""


class StoreRules:
    """The rules of a store, read once for a run.

    Args:
        policy: policy of the store.
        require_consent: whether the run asks for permissions. In a store without a register, the jobs file's check of
            the column `consent` is all that this asks for.

    Raises:
        StoreError: the store cannot be read, or an entry is damaged.
    """

    def __init__(self, store: Store, policy: StorePolicy, *, require_consent: bool = False) -> None:
        self._policy = policy
        self._consent = ConsentCheck(store, required=policy.require_consent, required_if_any=require_consent)
        self._forget_list = ForgetList(store)

    def governed(self, job: Job) -> Job:
        """Return the job with what the policy demands and the job leaves open."""
        if self._policy.label != "none" and job.label == "none":
            job = replace(job, label=self._policy.label)
        if self._policy.watermark and job.watermark == "on":
            job = replace(job, watermark="required")
        return job

    def permission(self, job: Job) -> Permission | None:
        """Return the permission that a job names; None if the register has none."""
        return self._consent.permission(job)

    def refusal(self, job: Job, portrait_sha256: str, face: str = "") -> InputError | None:
        """Return the error of a job that the store does not allow; None if it may run.

        Args:
            job: as `governed` returns it.
            portrait_sha256: hash of its portrait.
            face: objection to the portrait's face, of the job's permission; empty if there is none.
        """
        if withdrawn := self._forget_list.refusal(job.identity, portrait_sha256) or self._consent.refusal(job, face):
            return withdrawn
        if self._policy.watermark and job.watermark == "off":
            return NotAllowed("watermark is off, and the policy of the store requires it")
        wanted = self._policy.label
        if wanted != "none" and job.label not in (wanted, *LABELS):
            return NotAllowed(f"label is {job.label!r}, and the policy of the store requires {wanted!r}")
        return None

    def note(self, job: Job, face: str = "") -> str | None:
        """Return what to know of a job that may run nevertheless; None if there is nothing. `face`: see `refusal`."""
        return self._consent.note(job, face)

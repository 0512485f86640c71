"""The register of permissions in a store: one file per permission, and one per revocation, which is never removed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from catalogs.consent.permission import FACE, Permission, permission_from
from catalogs.store.sealed import seal, unseal
from catalogs.store.store import Store
from catalogs.table.audit import append_audit
from troupe import Job
from troupe.errors import NotPermitted, SettingsError, StoreError, Withdrawn
from troupe.labels import label_key, label_sha256, near_labels

__all__ = [
    "CONSENT_FOLDER",
    "ConsentCheck",
    "add_permissions",
    "drop_faces",
    "find_permission",
    "is_revoked",
    "list_permissions",
    "mark_revoked",
    "near_references",
]

CONSENT_FOLDER = "consent"
_PERMISSIONS, _REVOKED = f"{CONSENT_FOLDER}/permissions", f"{CONSENT_FOLDER}/revoked"
_THREADS = 16


class ConsentCheck:
    """Whether permissions cover jobs; each permission is read once.

    Args:
        required: whether every job needs one; if not, only revoked ones refuse their jobs.
        required_if_any: the same, in a store that has a register.
    """

    def __init__(self, store: Store, *, required: bool, required_if_any: bool = False) -> None:
        self._store = store
        self._found: dict[str, Permission | None] = {}
        self._hints: dict[str, str] = {}
        keys = store.list(CONSENT_FOLDER)
        self._exists, self._has_permissions = bool(keys), any(key.startswith(_PERMISSIONS) for key in keys)
        self._required = required or (required_if_any and self._exists)

    def refusal(self, job: Job, face: str = "") -> NotPermitted | Withdrawn | None:
        """Return the error of a job that no permission covers; None if it may run.

        Args:
            face: objection to the face in the portrait, which `permission` may know; empty if there is none.

        Raises:
            StoreError: the register cannot be read, or an entry is damaged.
        """
        permission = self.permission(job)
        if permission is not None and permission.revoked_at is not None:
            return Withdrawn(f"consent: {permission.reference}: it was revoked; remove the job from the request")
        if not self._required:
            return None
        if not label_key(job.consent):
            return NotPermitted(
                "consent is empty, and this store requires a permission; "
                f"{self._store.command('consent ls')} lists them"
            )
        if permission is None:
            return NotPermitted(self._unregistered(job.consent))
        objections = [*permission.objections(job), *filter(None, [face])]
        return NotPermitted(f"consent: {permission.reference}: {'; '.join(objections)}") if objections else None

    def note(self, job: Job, face: str = "") -> str | None:
        """Return a note about a job that may run though its permission does not cover it; None otherwise.

        A permission that is not in the register covers nothing; without any there, `consent` is a text of its own.
        """
        permission = self.permission(job)
        if permission is None:
            return self._unregistered(job.consent) if self._has_permissions and label_key(job.consent) else None
        objections = [*permission.objections(job), *filter(None, [face])]
        return f"consent: {job.consent} does not cover this job: {'; '.join(objections)}" if objections else None

    def permission(self, job: Job) -> Permission | None:
        """Return the permission that a job names; None if the register has none.

        Raises:
            StoreError: the register cannot be read, or an entry is damaged.
        """
        key = label_key(job.consent)
        if not self._exists or not key:
            return None
        if key not in self._found:
            self._found[key] = find_permission(self._store, job.consent)
        return self._found[key]

    def _unregistered(self, reference: str) -> str:
        key = label_key(reference)
        if key not in self._hints:
            add = f"add it with {self._store.command('consent add')}"
            self._hints[key] = _suggestion(reference, self._references) or add
        return f"consent: {reference} is not in the register; {self._hints[key]}"

    @cached_property
    def _references(self) -> list[str]:
        try:
            return [permission.reference for permission in list_permissions(self._store)]
        except StoreError:  # of a permission that these jobs do not name
            return []


def add_permissions(store: Store, permissions: Iterable[Permission], *, replace_existing: bool = False) -> int:
    """Add permissions to the register; return how many.

    Args:
        replace_existing: whether one with the same reference is replaced.

    Raises:
        SettingsError: references are given twice, exist, or were revoked; nothing is added then.
        StoreError: the store cannot be written.
    """
    added = list(permissions)
    problems: list[str] = []
    seen: set[str] = set()
    for permission in added:
        key = label_key(permission.reference)
        if key in seen:
            problems.append(f"{permission.reference} is there twice")
        seen.add(key)
        existing = find_permission(store, permission.reference)
        if existing is not None and existing.revoked_at is not None:
            problems.append(f"{permission.reference} was revoked; give a new permission another reference")
        elif existing is not None and not replace_existing and existing != permission:
            problems.append(f"{permission.reference} exists with other values; --replace replaces it")
    if problems:
        raise SettingsError(*problems) if len(problems) == 1 else SettingsError("nothing was added", problems)
    for permission in added:
        store.replace(seal(permission.values()), _key(_PERMISSIONS, permission.reference))
        append_audit(store, "consent", _facts(permission), [permission.identity])
    return len(added)


def find_permission(store: Store, reference: str) -> Permission | None:
    """Return a permission by its reference, in any spelling; None if there is none.

    Raises:
        StoreError: it cannot be read, or is damaged.
    """
    key = _key(_PERMISSIONS, reference)
    found = _read(store, key) if store.exists(key) else None
    if not is_revoked(store, reference):
        return found
    return _revoked(store, found or Permission(reference, ""))


def near_references(store: Store, reference: str) -> str:
    """Return the question whether a similar reference was meant; empty if the register has none.

    Raises:
        StoreError: the register cannot be read.
    """
    return _suggestion(reference, [one.reference for one in list_permissions(store)])


def _suggestion(reference: str, existing: Iterable[str]) -> str:
    near = near_labels(reference, existing)
    return f"did you mean {' or '.join(near)}?" if near else ""


def list_permissions(store: Store, identity: str = "") -> list[Permission]:
    """Return the permissions of a store, by reference; only those of a person if one is named.

    Raises:
        StoreError: they cannot be read.
    """
    keys = [key for key in store.list(_PERMISSIONS) if key.endswith(".json")]
    revoked = set(store.list(_REVOKED))
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="consent") as pool:
        found = list(pool.map(lambda key: _read(store, key), keys))
    wanted = [one for one in found if not identity or label_key(one.identity) == label_key(identity)]
    listed = [_revoked(store, one) if _key(_REVOKED, one.reference) in revoked else one for one in wanted]
    return sorted(listed, key=lambda one: label_key(one.reference))


def mark_revoked(store: Store, reference: str, reason: str) -> None:
    """Revoke a permission: jobs with it are refused from now on, and running ones are not published.

    Raises:
        StoreError: the store cannot be written.
    """
    values = {"reference": reference, "reason": reason, "revoked_at": datetime.now(UTC).isoformat()}
    store.put_bytes(seal(values), _key(_REVOKED, reference))
    drop_faces(store, [reference])


def drop_faces(store: Store, references: Iterable[str]) -> None:
    """Delete the embeddings of faces from permissions, which stay.

    Raises:
        StoreError: the store cannot be written.
    """
    for reference in references:
        key = _key(_PERMISSIONS, reference)
        if store.exists(key) and (permission := _read(store, key)).face:
            store.replace(seal(replace(permission, face="", face_recogniser="").values()), key)


def is_revoked(store: Store, reference: str) -> bool:
    """Return whether a permission was revoked.

    Raises:
        StoreError: the store cannot be read.
    """
    return bool(label_key(reference)) and store.exists(_key(_REVOKED, reference))


def _revoked(store: Store, permission: Permission) -> Permission:
    """Return a permission with its revocation, which exists."""
    values = _unsealed(store, _key(_REVOKED, permission.reference))
    moment = datetime.fromisoformat(values["revoked_at"])
    return replace(permission, revoked_at=moment, reason=str(values["reason"]))


def _read(store: Store, key: str) -> Permission:
    values = _unsealed(store, key)
    values.pop("digest", None)
    try:
        return permission_from(values, store.uri(key))
    except SettingsError as error:
        raise StoreError(f"{store.uri(key)} is damaged: {error}; add the permission again") from error


def _unsealed(store: Store, key: str) -> dict[str, Any]:
    try:
        return unseal(store.read(key))
    except ValueError as error:
        # No run is better than one that shows a person without their permission.
        raise StoreError(f"{store.uri(key)} is damaged: {error}; add or revoke the permission again") from error


def _facts(permission: Permission) -> dict[str, Any]:
    """Return what the audit log says of a permission; the log does not name people."""
    values = {
        name: value
        for name, value in permission.values().items()
        if value and name not in ("identity", "document", *FACE)
    }
    return values | {"permission_sha256": hashlib.sha256(seal(permission.values())).hexdigest()}


def _key(folder: str, reference: str) -> str:
    return f"{folder}/{label_sha256(reference)[:32]}.json"

"""A permission to show a person: what it covers, and whether it covers a job."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, date, datetime
from typing import Any

from catalogs.store import uris
from troupe import Job
from troupe.errors import SettingsError
from troupe.labels import label_key

__all__ = ["FACE", "SCOPES", "Permission", "permission_from"]

SCOPES = ("purposes", "languages", "territories", "clips")
"""What a permission may be limited to; an empty list is no limit."""
FACE = ("face", "face_recogniser")
"""Values that are biometric: they are kept only as long as the permission can be used, and not logged."""
_TAGS = {"purposes": "purpose", "territories": "territory"}
"""Tags of a job that are compared with a scope."""


@dataclass(frozen=True)
class Permission:
    """A person's permission to be shown.

    Attributes:
        reference: its name, which the column `consent` of a job repeats.
        identity: label of the person, as in the column `identity`.
        document: URI of the signed document.
        document_sha256: hash of the document.
        purposes: values of the tag `purpose` that jobs may have.
        languages: languages that may be spoken, BCP 47; `fr` includes `fr-CA`.
        territories: values of the tag `territory` that jobs may have.
        clips: driving clips, as file names or URIs, with `*` and `?`.
        valid_from, valid_until: first and last day, UTC; None: no limit.
        revoked_at: when it was revoked; None: it was not.
        reason: why it was revoked.
        face: embedding of the person's face: float32 numbers, little endian, in base64; empty if there is none.
        face_recogniser: SHA-256 of the face recognition network that computed it.
    """

    reference: str
    identity: str
    document: str = ""
    document_sha256: str = ""
    purposes: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    territories: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()
    valid_from: date | None = None
    valid_until: date | None = None
    revoked_at: datetime | None = None
    reason: str = ""
    face: str = ""
    face_recogniser: str = ""

    def state(self, today: date | None = None) -> str:
        """Return `valid`, `revoked`, `expired`, or `not yet valid`."""
        today = today or datetime.now(UTC).date()
        if self.revoked_at is not None:
            return "revoked"
        if self.valid_until is not None and today > self.valid_until:
            return "expired"
        return "not yet valid" if self.valid_from is not None and today < self.valid_from else "valid"

    def objections(self, job: Job, today: date | None = None) -> list[str]:
        """Return why the permission does not cover a job; nothing if it does."""
        found = {
            "valid": [],
            "revoked": ["it was revoked" + (f" ({self.reason})" if self.reason else "")],
            "expired": [f"it expired on {self.valid_until}"],
            "not yet valid": [f"it is valid from {self.valid_from}"],
        }[self.state(today)]
        if label_key(job.identity) != label_key(self.identity):
            found.append(f"it is {self.identity}'s, and the job's identity is {job.identity or 'empty'}")
        if self.languages and not _covers_language(self.languages, job.language):
            found.append(f"it covers {_list(self.languages)}, and the job's language is {job.language or 'not named'}")
        for scope, tag in _TAGS.items():
            allowed, value = getattr(self, scope), job.tags.get(tag, "")
            if allowed and label_key(value) not in map(label_key, allowed):
                found.append(f"it covers {scope} {_list(allowed)}, and the job's tag {tag} is {value or 'missing'}")
        if self.clips and not any(_is_clip(pattern, job.driving) for pattern in self.clips):
            found.append(f"it covers the clips {_list(self.clips)}")
        return found

    def values(self) -> dict[str, Any]:
        """Return all values as JSON has them; those of a face only if there is one."""
        return {
            name: value.isoformat() if isinstance(value, date) else list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if value or name not in FACE
        }


def permission_from(values: Mapping[str, Any], where: str) -> Permission:
    """Return the permission that a row or a file says: texts, lists of texts or texts with `;` between, and days.

    Args:
        where: name of the row or file, for messages.

    Raises:
        SettingsError: a value is invalid; all problems are reported together.
    """
    problems: list[str] = []
    known = {field.name for field in fields(Permission)}
    if unknown := [name for name in values if name not in known]:
        problems.append(f"{where}: unknown {_list(unknown)}; use {', '.join(sorted(known))}")
    found: dict[str, Any] = {}
    for name in known & set(values):
        value = values[name]
        if value is None or value == "":
            continue
        if name in SCOPES:
            parts = value.split(";") if isinstance(value, str) else value
            found[name] = tuple(text for part in parts if (text := str(part).strip()))
        elif name in ("valid_from", "valid_until", "revoked_at"):
            try:
                found[name] = _moment(value) if name == "revoked_at" else _day(value)
            except ValueError:
                problems.append(f"{where}: {name} is {value!r}; use a day such as 2027-01-31")
        else:
            found[name] = str(value).strip()
    problems += [
        f"{where}: {name} is empty" for name in ("reference", "identity") if not label_key(found.get(name, ""))
    ]
    if (first := found.get("valid_from")) and (last := found.get("valid_until")) and first > last:
        problems.append(f"{where}: valid_from {first} is after valid_until {last}")
    if problems:
        raise SettingsError(*problems) if len(problems) == 1 else SettingsError("invalid permissions", problems)
    return Permission(**found)


def _day(value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value).strip())


def _moment(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _covers_language(allowed: Collection[str], language: str) -> bool:
    tag = language.lower()
    return any(tag == one.lower() or tag.startswith(f"{one.lower()}-") for one in allowed)


def _is_clip(pattern: str, uri: str) -> bool:
    return fnmatch.fnmatchcase(uri, pattern) or fnmatch.fnmatchcase(uris.name(uri), pattern)


def _list(texts: Collection[str]) -> str:
    return ", ".join(texts)

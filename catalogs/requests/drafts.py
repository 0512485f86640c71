"""Rows of a request before they are jobs: what concerns several of their cells, or several rows, is checked here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from catalogs.requests.job_ids import default_ids, stem
from catalogs.requests.missing_files import FileProblem, PolicySource, any_public, missing_files
from catalogs.requests.tables import MOST_PROBLEMS
from catalogs.store import uris
from troupe import Job
from troupe.errors import BadJob

__all__ = ["LOOKING", "Draft", "IdentityFrom", "Rules", "finished_jobs"]

IdentityFrom: TypeAlias = Literal["stem", "folder"]
"""Part of a portrait's path that names its identity: the file name without its suffix, or the folder's name."""
_LONGEST_PROBLEM = 1000
"""Characters."""
_ROW = re.compile(r"row (\d+)\b")
"""Start of a problem that is in a row of a jobs file."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A job before its row is validated as a whole.

    Attributes:
        where: row of the file, for messages.
        own: valid values of the filled cells, by column.
        defaults: values of the other columns, where the request sets them.
    """

    where: str
    own: dict[str, Any]
    defaults: dict[str, Any]

    @property
    def fields(self) -> dict[str, Any]:
        """All values, by column of the job."""
        values = self.defaults | self.own
        unused = {"languages", *(() if values.get("subtitles") else ("subtitles_burn",))}
        return {name: value for name, value in values.items() if name not in unused}


@dataclass(frozen=True)
class Rules:
    """How a request is validated.

    Attributes:
        require_consent: whether to refuse jobs whose `consent` is empty.
        identity_from: part of the portrait's path that is the identity of jobs without one.
        policy: which inputs may be looked at, where the request has problems anyway; None looks at none.
        file_problem: returns why a file cannot be used by its content, to be reported with other problems.
    """

    require_consent: bool = False
    identity_from: IdentityFrom | None = None
    policy: PolicySource | None = None
    file_problem: FileProblem | None = None


LOOKING = Rules(policy=any_public)
"""Rules that look for files wherever anybody may."""


def finished_jobs(drafts: Sequence[Draft], problems: list[str], name: str, rules: Rules) -> list[Job]:
    """Check what concerns several fields or rows, and return the jobs.

    Args:
        problems: what is wrong with single cells.
        name: name of the request, for messages.

    Raises:
        BadJob: there are problems; all are reported together.
    """
    taken: dict[str, str] = {}
    burned = False
    for draft in drafts:
        fields = draft.fields
        start, end = fields.get("start", 0.0), fields.get("end")
        if end is not None and end <= start:
            problems.append(f"{draft.where}: end is {end:g}, which is not after start, {start:g}")
        if rules.require_consent and not fields.get("consent"):
            problems.append(f"{draft.where}: consent is empty, and this run requires it")
        burned = burned or bool(fields.get("subtitles_burn"))
        if draft.own.get("subtitles_burn") and not fields.get("subtitles"):
            problems.append(f"{draft.where}: subtitles_burn is true, but subtitles is empty")
        if fields.get("lips") == "sound" and fields.get("audio") == "none":
            problems.append(f"{draft.where}: lips follow the sound, but audio is none; name a file, or use driving")
        job_id = fields.get("job_id")
        if job_id in taken:
            problems.append(f"{draft.where}: job_id {job_id!r} is already used in {taken[job_id]}")
        elif job_id is not None:
            taken[job_id] = draft.where
    if drafts and drafts[0].defaults.get("subtitles_burn") and not burned:
        problems.append("--subtitles-burn is given, but no job has subtitles")
    if problems:
        if rules.policy is not None:
            rows = ((draft.where, draft.fields) for draft in drafts)
            problems += missing_files(rows, rules.policy, problems, rules.file_problem)
        error = _bad_job(problems, name)
        unnamed = {"job_id": "", "portrait": "", "driving": ""}
        error.jobs = tuple(Job(**{**unnamed, **draft.fields}) for draft in drafts)
        raise error
    names = iter(default_ids([draft.own for draft in drafts if "job_id" not in draft.fields], set(taken)))
    return [
        Job(
            **{
                "identity": _identity(draft.own["portrait"], rules.identity_from),
                **draft.fields,
                "job_id": draft.own.get("job_id") or next(names),
            }
        )
        for draft in drafts
    ]


def _bad_job(problems: Sequence[str], name: str) -> BadJob:
    problems = sorted(problems, key=_row)
    many = f"{len(problems)} problems" if len(problems) < MOST_PROBLEMS else f"at least {MOST_PROBLEMS} problems"
    count = "a problem" if len(problems) == 1 else many
    listed = [problem[:_LONGEST_PROBLEM] for problem in problems[:MOST_PROBLEMS]]
    more = [f"and {len(problems) - len(listed)} more"] if len(problems) > len(listed) else []
    return BadJob(f"{name} has {count}:", listed + more)


def _row(problem: str) -> int:
    """Return the row that a problem is in, 0 for the header and for what is in no row."""
    found = _ROW.match(problem)
    return int(found[1]) if found else 0


def _identity(portrait: str, source: IdentityFrom | None) -> str:
    """Return the identity that a portrait's path names."""
    if source is None:
        return ""
    return stem(portrait) if source == "stem" else uris.name(uris.parent(portrait))

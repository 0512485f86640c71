"""Rows that stand for many languages: `{language}` in their files, expanded to one job per language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import langcodes

from catalogs.requests.column_names import default_name
from catalogs.requests.columns import LANGUAGE
from catalogs.requests.inputs import files_in
from catalogs.requests.missing_files import PolicySource, any_public, missing
from catalogs.store import uris
from catalogs.store.keys import valid_job_id
from troupe.errors import TroupeError

__all__ = ["PLACEHOLDER", "PLACES", "expand", "unknown_placeholders"]

PLACEHOLDER = "{language}"
_BRACES = re.compile(r"\{[^{}/]*\}")
PLACES = ("audio", "tracks", "subtitles")
"""Columns whose URIs may contain the placeholder."""


def expand(
    own: Mapping[str, Any],
    defaults: Mapping[str, Any],
    where: str,
    problems: list[str],
    policy: PolicySource = any_public,
) -> list[dict[str, Any]]:
    """Return the cells of a row once per language; a row that names a single language, or none, as it is.

    The languages are those of the column `languages`, else the single `language`, else those for which the first URI
    with the placeholder names a file that exists. Where only `subtitles` has the placeholder, they are languages of the
    subtitles, for one and the same sound.

    Args:
        own: valid values of the row's filled cells, by column.
        defaults: values of the other columns.
        where: position of the row, for messages.
        problems: list that languages and files which do not exist are reported to.
        policy: which folders and files may be looked at.
    """
    fields = {**defaults, **own}
    patterns = [column for column in PLACES if PLACEHOLDER in str(fields.get(column, ""))]
    languages = fields.get("languages")
    rest = {column: value for column, value in own.items() if column != "languages"}
    if languages and not patterns:
        text = f"languages is {';'.join(languages)}, but none of {', '.join(PLACES)} has {PLACEHOLDER}"
        problems.append(f"{where}: {text}" if "languages" in own else f"--{text}")
    of = "subtitles_language" if patterns == ["subtitles"] else "language"
    if languages and fields.get(of):
        problems.append(f"{where}: has both {of} and languages; leave one empty")
    if not patterns:
        return [rest]
    if single := fields.get(of) or (not languages and fields.get("language")):
        return [rest | _filled(fields, patterns, single)]
    found = languages or _languages_there(fields[patterns[0]], where, problems, policy)
    rows = []
    for language in found:
        row = rest | _filled(fields, patterns, language) | {of: language}
        for column in patterns:
            if (problem := missing(row[column], policy)) is not None:
                problems.append(f"{where}: {column} for {language}: {problem}")
        if "job_id" in own:
            row["job_id"] = f"{own['job_id']}.{language}"
            if not valid_job_id(row["job_id"]):
                problems.append(f"{where}: job_id {own['job_id']!r} is too long for one job per language")
        rows.append(row)
    return rows or [rest]


def unknown_placeholders(
    own: Mapping[str, Any], defaults: Mapping[str, Any], where: str, policy: PolicySource
) -> list[str]:
    """Return the files of a row that have other words in braces than the placeholder, and do not exist as written."""
    problems = []
    for column in ("portrait", "driving", *PLACES):
        uri = str(own.get(column) or defaults.get(column) or "")
        known = [PLACEHOLDER] if column in PLACES else []
        unknown = [word for word in dict.fromkeys(_BRACES.findall(uri)) if word not in known]
        if unknown and missing(uri, policy):
            advice = f"write {PLACEHOLDER}" if known else f"only {', '.join(PLACES)} may have {PLACEHOLDER}"
            at = f"{where}: {column}" if column in own else default_name(column)
            problems.append(f"{at} has {' and '.join(unknown)}, which stands for nothing; {advice}")
    return problems


def _filled(fields: Mapping[str, Any], patterns: list[str], language: str) -> dict[str, str]:
    return {column: fields[column].replace(PLACEHOLDER, language) for column in patterns}


def _languages_there(pattern: str, where: str, problems: list[str], policy: PolicySource) -> list[str]:
    """Return the languages for which there is a file; none is a problem."""
    folder, name = uris.parent(pattern), uris.name(pattern)
    if PLACEHOLDER not in name:
        problems.append(
            f"{where}: {pattern} has {PLACEHOLDER} in its folder; list the languages in the column languages"
        )
        return []
    allowed = policy()  # an error of the store, not of the row
    try:
        files = [uris.name(file) for file in files_in(folder, allowed)]
    except TroupeError as error:
        problems.append(f"{where}: {error.message}")
        return []
    before, _, after = name.partition(PLACEHOLDER)
    expected = re.compile(f"{re.escape(before)}(?P<language>{LANGUAGE.pattern}){re.escape(after)}")
    matches = [match["language"] for file in files if (match := expected.fullmatch(file))]
    found = [language for language in matches if langcodes.tag_is_valid(language)]
    if not found:
        problems.append(f"{where}: there is no file like {uris.redacted(pattern)}, with a language such as en or pt-BR")
    return found

"""Families: the films of one picture, which become one package."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from catalogs.export.filenames import NameTemplate
from catalogs.export.films import film_content, with_one_spelling
from tasks.media.languages import UNKNOWN, language_name, same_language, standard_tag
from troupe.errors import SettingsError
from troupe.labels import near_labels

__all__ = ["Family", "Film", "TrackNames", "check_default", "default_of", "families_of", "track_names"]

_SHOWN = 5


@dataclass(frozen=True)
class Film:
    """A film and the languages of its tracks.

    Attributes:
        row: its row of the catalog.
        language: language of its sound, BCP 47; `und` if unknown.
        subtitles_language: the same of its subtitles.
        run_id: first of the runs whose job has it, by which packages name it: later runs reuse films.
    """

    row: dict[str, Any]
    language: str
    subtitles_language: str
    run_id: str

    @property
    def variant(self) -> tuple[Any, ...]:
        """What is equal for films that can share a video, as far as their rows say."""
        return self.row["frames"], self.row["audio"] == "none"


@dataclass(frozen=True)
class TrackNames:
    """What the tracks of a package are called, each different from the others.

    Attributes:
        sounds, subtitles: names of the tracks of each film.
        notes: what a user should know about them.
    """

    sounds: Sequence[str]
    subtitles: Sequence[str]
    notes: Sequence[str]


@dataclass(frozen=True)
class Family:
    """The films of a picture.

    Attributes:
        films: one per sound, in the order of their jobs.
        name: name of the package, without suffix.
        variants: how many packages the films need at most: those of different lengths cannot share a video.
    """

    films: tuple[Film, ...]
    name: str
    variants: int


def families_of(rows: Sequence[dict[str, Any]], template: NameTemplate, suffix: str) -> list[Family]:
    """Group films by their picture.

    Rows with the same film, such as those of a nightly run, are one film, the latest. A film of an earlier version,
    which has no picture, is a family of its own.

    Args:
        rows: rows with a video, in the order of jobs.
        template: names of the packages.
        suffix: what the names end in.

    Raises:
        SettingsError: the template uses a column in which the films of a picture differ.
    """
    films = {film_content(row): (row, named) for row, named in zip(rows, with_one_spelling(rows), strict=True)}
    first_runs = {(film_content(row), row["job_id"]): row["run_id"] for row in reversed(rows)}
    pictures: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
    for content, (row, named) in films.items():
        pictures.setdefault(row.get("picture_key") or f"film {content}", []).append((row, named))
    problems: list[str] = []
    families: list[Family] = []
    for pairs in pictures.values():
        members = [row for row, _ in pairs]
        first = pairs[0][1] | {"job_id": _stem(members[0])}
        for column in template.columns:
            values = {str(template.value(named, column)): None for _, named in pairs}
            if column not in ("job_id", "run_id") and len(values) > 1:
                problems.append(f"{first['job_id']}: {column} is {' and '.join(list(values)[:_SHOWN])}")
        runs = [first_runs[film_content(row), row["job_id"]] for row in members]
        families.append(_family(members, runs, template.name(first, suffix)))
    if problems:
        more = ", ..." if len(problems) > _SHOWN else ""
        raise SettingsError(
            f"the name of a package cannot use a column in which its films differ: {'; '.join(problems[:_SHOWN])}{more}"
        )
    return families


def default_of(films: Sequence[Film], wanted: str) -> int:
    """Return the number of the film that players choose: in the wanted language, else the first."""
    languages = [film.language for film in films]
    exact = standard_tag(wanted)
    if exact in languages:
        return languages.index(exact)
    return next((n for n, language in enumerate(languages) if wanted and same_language(language, wanted)), 0)


def check_default(families: Iterable[Family], wanted: str) -> None:
    """Check that there are films in the default language.

    Raises:
        SettingsError: there are none.
    """
    languages = {film.language for family in families for film in family.films}
    if wanted and not any(standard_tag(wanted) == tag or same_language(tag, wanted) for tag in languages):
        near = near_labels(wanted, languages) or sorted(languages)[:_SHOWN]
        raise SettingsError(f"no film is in the default language {wanted!r}; there are: {', '.join(near)}")


def track_names(films: Sequence[Film]) -> TrackNames:
    """Return names for the tracks of a package, and notes about those whose languages are repeated or unknown."""
    names, notes = _names(films, [film.language for film in films])
    texts, _ = _names(films, [film.subtitles_language for film in films])
    unknown = [film.row["job_id"] for film in films if film.language == UNKNOWN and film.row["audio"] != "none"]
    if unknown:
        notes.append(f"the language of {', '.join(unknown[:_SHOWN])} is unknown (und); set language in the jobs")
    return TrackNames(names, texts, notes)


def _family(members: Sequence[dict[str, Any]], runs: Sequence[str], name: str) -> Family:
    films = tuple(
        Film(row, standard_tag(row["language"]), standard_tag(row.get("subtitles_language") or row["language"]), run)
        for row, run in zip(members, runs, strict=True)
    )
    variants = {(row["frames"], row.get("fit"), row["audio"] == "none") for row in members}
    return Family(films, name, len(variants))


def _names(films: Sequence[Film], tags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return names for the tracks of films, and notes about those that have the language of others."""
    counts = Counter(tags)
    jobs = Counter((tag, film.row["job_id"]) for tag, film in zip(tags, films, strict=True))
    names, repeated = [], dict[str, list[str]]()
    for tag, film in zip(tags, films, strict=True):
        name = language_name(tag)
        if counts[tag] > 1:
            job = film.row["job_id"] if jobs[tag, film.row["job_id"]] == 1 else f"{film.run_id}/{film.row['job_id']}"
            name = f"{name} ({job})"
            repeated.setdefault(tag, []).append(job)
        names.append(name)
    return names, [
        f"{len(same)} films are in {tag}, and their tracks are named by job: {', '.join(same[:_SHOWN])}"
        + (", ..." if len(same) > _SHOWN else "")
        for tag, same in repeated.items()
    ]


def _stem(row: dict[str, Any]) -> str:
    """Return the job_id of a package by its first film: `welcome` for `welcome.en`."""
    return str(row["job_id"]).removesuffix(f".{row['language']}")

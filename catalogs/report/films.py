"""Films of one picture: the same video with different sounds, which the report shows together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalogs.requests.image_sequences import display_name
from catalogs.table.schema import SURE_OF_SYNC

__all__ = ["FILM_LABELS", "Film", "family_status", "family_title", "film_facts"]

FILM_LABELS = ("sound", "lips", "length", "loudness", "fit", "sync", "consent", "notes")
"""Labels of the facts of a film, in the order in which they are shown."""


@dataclass(frozen=True)
class Film:
    """A picture with one of its sounds.

    Attributes:
        job_id, status, language: as in the job's row.
        video: link relative to the page.
        flagged: quality thresholds that it misses.
        facts: label -> value of what distinguishes it from other films of the picture.
    """

    job_id: str
    status: str
    language: str
    video: str
    flagged: str
    facts: Mapping[str, str]


def film_facts(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what a film's sound is, and how it fits the picture; without what is not known."""
    loudness, seconds = row["loudness_lufs"], row["seconds"]
    facts = {
        "sound": {"driving": "of the clip"}.get(row["audio"] or "") or display_name(row["audio"] or ""),
        "lips": "by the sound" if row["lips"] == "sound" else "",
        "length": "" if seconds is None else f"{seconds:.2f} s",
        "loudness": "" if loudness is None else f"{loudness:.1f} LUFS",
        "fit": _fit(row),
        "sync": _sync(row),
        "consent": row["consent"] or "",
        "notes": row["notes"] or "",
    }
    return {label: facts[label] for label in FILM_LABELS if facts[label]}


def _fit(row: Mapping[str, Any]) -> str:
    """Return how the sound was fitted, and what of it was cut; empty if it was not."""
    cut = row["audio_cut_seconds"] or 0.0
    return f"{row['fit']}, {cut:.2f} s cut" if cut >= 0.005 and row["fit"] else row["fit"] or ""


def _sync(row: Mapping[str, Any]) -> str:
    """Return the measures of mouth and sound; empty if they were not measured."""
    if row["sync_offset_frames"] is None:
        return ""
    offset = row["sync_offset_frames"]
    frames = "1 frame" if abs(offset) == 1 else f"{abs(offset)} frames"
    late = "in sync" if offset == 0 else f"sound {frames} {'late' if offset > 0 else 'early'}"
    if row["sync_confidence"] < SURE_OF_SYNC:
        late = "not clear"
    text = f"{late}, confidence {row['sync_confidence']:.2f}"
    if row["sync_lse_d"] is not None:
        text += f", LSE-C {row['sync_lse_c']:.2f}, LSE-D {row['sync_lse_d']:.2f}"
    return text


def family_title(films: Sequence[Film]) -> str:
    """Return the name of the job that `languages` expanded, or the first job's name."""
    names = {film.job_id.removesuffix(f".{film.language}") for film in films}
    return names.pop() if len(names) == 1 else films[0].job_id


def family_status(films: Sequence[Film]) -> str:
    """Return the statuses of the films with their numbers, or the status if all have the same."""
    counts = Counter(film.status for film in films)
    if len(counts) == 1:
        return films[0].status
    return ", ".join(f"{count} {status}" for status, count in counts.items())

"""Contents of a run's report, from the rows of its manifest."""

from __future__ import annotations

import statistics
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from catalogs.report.films import FILM_LABELS, Film, family_status, family_title, film_facts
from catalogs.requests.image_sequences import display_name
from catalogs.store import uris
from catalogs.table.schema import HIGHER_IS_BETTER, QUALITIES, STAGES

__all__ = ["Card", "Facts", "Outlier", "Stage", "collect_facts"]

_ROOT = "../../.."
"""Relative path from `runs/<run_id>/report/` to the store."""
_POINTS = 100
"""Points of the progress curve."""
_MIN_JOBS = 8
"""Fewest jobs with a measure for outliers to be reported."""
_OUTLIER_SCORE = 3.5
"""Modified z-score of an outlier (Iglewicz and Hoaglin, 1993)."""
_LABELS = {
    "identity": "identity similarity",
    "landmarks": "landmark distance",
    "expression": "expression distance",
    "pose": "head-pose distance, degrees",
    "flicker": "flicker, grey levels",
}


@dataclass(frozen=True)
class Card:
    """A job in the gallery, or a picture with several films.

    Attributes:
        job_id: its name; of several, what their names have in common.
        status: status, for people; of several, how many have which.
        picture: key of the picture, which films in other languages share; empty if unknown.
        films: the job's film, or all of the picture; empty if the job has no video.
        portrait, clip, poster, video: links relative to the page; empty if missing.
        qualities: (name, label, value) of the quality measures.
        facts: (label, value) of further details.
    """

    job_id: str
    status: str
    picture: str
    films: tuple[Film, ...]
    identity: str
    driving: str
    portrait: str
    clip: str
    poster: str
    video: str
    seconds: float
    finished: str
    flagged: str
    error: str
    tags: tuple[tuple[str, str], ...]
    qualities: tuple[tuple[str, str, float], ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def film_labels(self) -> tuple[str, ...]:
        """Labels of the films' facts, without those that no film has."""
        return tuple(label for label in FILM_LABELS if any(label in film.facts for film in self.films))


@dataclass(frozen=True)
class Outlier:
    """A quality measure that is much worse than the other jobs'."""

    job_id: str
    measure: str
    value: float
    median: float


@dataclass(frozen=True)
class Stage:
    """Seconds of all jobs in a stage, and their share of the total."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Facts:
    """Contents of the page.

    Attributes:
        counts: jobs by status.
        frames: number of frames of the pictures that were rendered; `frames_rendered` of `troupe catalog stats`.
        failures: job_id, error and attempts of failed jobs, by kind of error.
        flagged: job_id and reason of flagged jobs.
        curve: points of finished jobs over time, both from 0 to 100.
        left_out: number of jobs that the gallery does not show.
    """

    run_id: str
    counts: Mapping[str, int]
    started: datetime | None
    finished: datetime | None
    frames: int
    video_seconds: float
    video_bytes: int
    weights: str
    code_version: str
    devices: tuple[str, ...]
    stages: tuple[Stage, ...]
    failures: Mapping[str, Sequence[Mapping[str, Any]]]
    flagged: tuple[Mapping[str, Any], ...]
    outliers: tuple[Outlier, ...]
    curve: tuple[tuple[float, float], ...]
    cards: tuple[Card, ...]
    left_out: int

    @property
    def jobs(self) -> int:
        """Number of jobs."""
        return sum(self.counts.values())

    @property
    def seconds(self) -> float:
        """Seconds from the first job's start to the last one's end."""
        return (self.finished - self.started).total_seconds() if self.started and self.finished else 0.0


def collect_facts(run_id: str, rows: Iterable[Mapping[str, Any]], max_cards: int) -> Facts:
    """Collect the report's contents from a run's rows, one per job, with at most `max_cards` cards, failures first.

    The rows are read in one pass and not kept: a run may have more than fit into memory.
    """
    counts: Counter[str] = Counter()
    spent, sums = Counter[str](), Counter[str]()
    texts: dict[str, str] = {}
    devices: set[str] = set()
    started: datetime | None = None
    ends: list[datetime] = []
    failures: dict[str, list[dict[str, Any]]] = {}
    flagged: list[dict[str, Any]] = []
    measured: dict[str, list[tuple[str, float]]] = {name: [] for name in QUALITIES}
    cards: list[Card] = []
    for row in rows:
        counts[row["status"]] += 1
        if row["status"] == "done":
            sums.update({name: row[name] for name in ("seconds", "bytes") if row[name]})
            devices |= {row["device"]} if row["device"] else set()
        # Films share their picture, whose frames are counted with the one that it was rendered for; it may have failed
        # for its quality.
        if row["seconds_denoise"] or (row["status"] == "done" and not row["picture_key"]):
            sums["frames"] += row["frames"] or 0
        spent.update({stage: seconds for stage in STAGES if (seconds := row[f"seconds_{stage}"])})
        for name in ("weights", "code_version"):
            if row[name]:
                texts.setdefault(name, row[name])
        if row["started_at"]:
            started = min(started or row["started_at"], row["started_at"])
        if row["finished_at"]:
            ends.append(row["finished_at"])
        if row["status"] == "failed":
            failures.setdefault(row["error_kind"] or "unknown", []).append(_some(row, "error", "attempts"))
        if row["flagged"]:
            flagged.append(_some(row, "flagged"))
        for name, values in measured.items():
            if (value := row[f"quality_{name}"]) is not None:
                values.append((row["job_id"], value))
        if len(cards) < max_cards or _order(row["status"], row["job_id"]) < _order(cards[-1].status, cards[-1].job_id):
            insort(cards, _card(row), key=lambda card: _order(card.status, card.job_id))
            del cards[max_cards:]
    ends.sort()
    return Facts(
        run_id=run_id,
        counts=counts,
        started=started,
        finished=ends[-1] if ends else None,
        frames=int(sums["frames"]),
        video_seconds=float(sums["seconds"]),
        video_bytes=int(sums["bytes"]),
        weights=texts.get("weights", ""),
        code_version=texts.get("code_version", ""),
        devices=tuple(sorted(devices)),
        stages=_stages(spent),
        failures=dict(sorted(failures.items(), key=lambda entry: -len(entry[1]))),
        flagged=tuple(flagged),
        outliers=_outliers(measured),
        curve=_curve(ends),
        cards=tuple(sorted(_families(cards), key=lambda card: card.job_id)),
        left_out=counts.total() - len(cards),
    )


def _some(row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    return {name: row[name] for name in ("job_id", *columns)}


def _order(status: str, job_id: str) -> tuple[bool, str]:
    """Sort key: failures first."""
    return status != "failed", job_id


def _stages(spent: Mapping[str, float]) -> tuple[Stage, ...]:
    """Return the stages by time, except waiting in the queue."""
    work = {stage: seconds for stage, seconds in spent.items() if stage != "queue" and seconds > 0}
    return tuple(
        Stage(stage.replace("_", " "), seconds, seconds / sum(work.values()))
        for stage, seconds in sorted(work.items(), key=lambda entry: -entry[1])
    )


def _outliers(measured: Mapping[str, Sequence[tuple[str, float]]]) -> tuple[Outlier, ...]:
    found: list[tuple[float, Outlier]] = []
    for name, values in measured.items():
        if len(values) < _MIN_JOBS:
            continue
        median = statistics.median(value for _, value in values)
        deviation = statistics.median(abs(value - median) for _, value in values)
        for job_id, value in values:
            worse = median - value if name in HIGHER_IS_BETTER else value - median
            # 0.6745 scales the median deviation to the standard deviation of a normal distribution.
            score = 0.6745 * worse / deviation if deviation > 0 else 0.0
            if score > _OUTLIER_SCORE:
                found.append((score, Outlier(job_id, _LABELS[name], value, median)))
    return tuple(outlier for _, outlier in sorted(found, key=lambda entry: -entry[0])[:50])


def _curve(times: Sequence[datetime]) -> tuple[tuple[float, float], ...]:
    """Return the curve of ascending times."""
    if len(times) < 2 or times[0] == times[-1]:
        return ()
    span = (times[-1] - times[0]).total_seconds()
    step = max(1, len(times) // _POINTS)
    points = [(times[n], n + 1) for n in (*range(0, len(times), step), len(times) - 1)]
    return tuple(
        (round(100 * (time - times[0]).total_seconds() / span, 2), round(100 * count / len(times), 2))
        for time, count in points
    )


def _card(row: Mapping[str, Any]) -> Card:
    qualities = [(name, _LABELS[name], row[f"quality_{name}"]) for name in QUALITIES]
    rate = f"{row['fps_numerator'] / row['fps_denominator']:.4g}" if row["fps_denominator"] else ""
    size = f"{row['width']}x{row['height']}, {row['frames']} frames at {rate}/s" if row["frames"] else ""
    gaps = sum(gap["stop"] - gap["first"] for gap in row["gaps"] or ())
    film, video = film_facts(row), _output(row, row["full_uri"] or row["crop_uri"])
    facts = (
        ("language", row["language"]),
        ("sound", film.get("sound")),
        ("preset", row["preset"]),
        ("video", size),
        *((label, film.get(label)) for label in ("lips", "fit", "loudness", "sync")),
        ("frames without a face", str(gaps) if gaps else ""),
        ("consent", row["consent"]),
        ("notes", row["notes"]),
    )
    flagged = row["flagged"] or ""
    return Card(
        job_id=row["job_id"],
        status=row["status"],
        picture=row["picture_key"] or "",
        films=(Film(row["job_id"], row["status"], row["language"] or "", video, flagged, film),) if video else (),
        identity=row["identity"] or "",
        driving=display_name(row["driving"] or ""),
        portrait=_link("cache/appearance", row["appearance_key"], ".jpg") if row["full_uri"] or row["crop_uri"] else "",
        clip=_link("cache/motion", row["motion_key"], ".jpg") if row["full_uri"] or row["crop_uri"] else "",
        poster=_output(row, row["poster_uri"]),
        video=video,
        seconds=row["seconds"] or 0.0,
        finished=row["finished_at"].isoformat(timespec="seconds") if row["finished_at"] else "",
        flagged=flagged,
        error=row["error"] or "",
        tags=tuple((str(name), str(value)) for name, value in row["tags"] or ()),
        qualities=tuple((name, words, value) for name, words, value in qualities if value is not None),
        facts=tuple((label, value) for label, value in facts if value),
    )


def _families(cards: Iterable[Card]) -> list[Card]:
    """Return the cards, one for all films of a picture."""
    families: dict[str | int, list[Card]] = {}
    for number, card in enumerate(cards):
        families.setdefault(card.picture if card.picture and card.films else number, []).append(card)
    return [family[0] if len(family) == 1 else _family(family) for family in families.values()]


def _family(cards: Sequence[Card]) -> Card:
    """Return the card of a picture with several films."""
    films = tuple(sorted((film for card in cards for film in card.films), key=lambda film: film.job_id))
    own = {"language", "video", *(label for film in films for label in film.facts)}
    return replace(
        min(cards, key=lambda card: card.job_id),
        job_id=family_title(films),
        status=family_status(films),
        films=films,
        identity=", ".join(dict.fromkeys(card.identity for card in cards if card.identity)),
        seconds=max(card.seconds for card in cards),
        finished=max(card.finished for card in cards),
        flagged="; ".join(f"{film.job_id}: {film.flagged}" for film in films if film.flagged),
        tags=tuple(dict.fromkeys(tag for card in cards for tag in card.tags)),
        facts=tuple(fact for fact in cards[0].facts if fact[0] not in own),
    )


def _output(row: Mapping[str, Any], uri: str | None) -> str:
    """Return a relative link, so that the page still works when the store is moved."""
    return _link(f"renders/{row['render_key']}", uris.name(uri)) if uri and row["render_key"] else ""


def _link(folder: str, name: str | None, suffix: str = "") -> str:
    return f"{_ROOT}/{quote(f'{folder}/{name}{suffix}')}" if name else ""

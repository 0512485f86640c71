"""What a report says of a run, from the rows of its manifest."""

from __future__ import annotations

import statistics
from bisect import insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from catalogs.requests.image_sequences import title
from catalogs.store import uris
from catalogs.table.schema import QUALITIES, STAGES

__all__ = ["Card", "Facts", "Outlier", "Stage", "collect_facts"]

_ROOT = "../../.."
"""From `runs/<run_id>/report/` to the store."""
_POINTS = 100
"""Of the curve of progress."""
_FEWEST = 8
"""Jobs with a measure, below which none of them is called an outlier."""
_FAR = 3.5
"""Robust deviations from the median that make an outlier (Iglewicz and Hoaglin, 1993)."""
_BETTER_HIGH = ("identity",)
_WORDS = {
    "identity": "identity similarity",
    "landmarks": "landmark distance",
    "expression": "expression distance",
    "pose": "head-pose distance, degrees",
    "flicker": "flicker, grey levels",
}


@dataclass(frozen=True)
class Card:
    """A job in the gallery.

    Attributes:
        portrait, clip, poster, video: links relative to the page; empty where there is none.
        qualities: (name, what it is called, value).
        facts: (label, value), what else there is to say.
    """

    job_id: str
    status: str
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


@dataclass(frozen=True)
class Outlier:
    """A measure of a job that is far from those of the others, on the bad side."""

    job_id: str
    measure: str
    value: float
    median: float


@dataclass(frozen=True)
class Stage:
    """Seconds that all jobs spent on a part of the work, and their share of all."""

    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Facts:
    """All that the page says.

    Attributes:
        counts: jobs by status.
        failures: of the rows that failed job_id, error and attempts, by kind of error.
        flagged: of the rows that are, job_id and why.
        curve: points of the jobs finished over time, both from 0 to 100.
        left_out: jobs that the gallery does not show.
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
        """How many there were."""
        return sum(self.counts.values())

    @property
    def seconds(self) -> float:
        """From the first job's start to the last one's end."""
        return (self.finished - self.started).total_seconds() if self.started and self.finished else 0.0


def collect_facts(run_id: str, rows: Iterable[Mapping[str, Any]], most: int) -> Facts:
    """From the rows of a run, one a job, to what its report says; `most` cards at most, failures first.

    The rows are looked at once, one after the other, and not kept: a run may have more than fit into memory.
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
            sums.update({name: row[name] for name in ("frames", "seconds", "bytes") if row[name]})
            devices |= {row["device"]} if row["device"] else set()
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
        if len(cards) < most or _order(row["status"], row["job_id"]) < _order(cards[-1].status, cards[-1].job_id):
            insort(cards, _card(row), key=lambda card: _order(card.status, card.job_id))
            del cards[most:]
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
        cards=tuple(sorted(cards, key=lambda card: card.job_id)),
        left_out=counts.total() - len(cards),
    )


def _some(row: Mapping[str, Any], *columns: str) -> dict[str, Any]:
    return {name: row[name] for name in ("job_id", *columns)}


def _order(status: str, job_id: str) -> tuple[bool, str]:
    """Failures first."""
    return status != "failed", job_id


def _stages(spent: Mapping[str, float]) -> tuple[Stage, ...]:
    """Of work; waiting in the queue is none."""
    work = {stage: seconds for stage, seconds in spent.items() if stage != "queue" and seconds > 0}
    return tuple(
        Stage(stage.replace("_", " "), seconds, seconds / sum(work.values()))
        for stage, seconds in sorted(work.items(), key=lambda entry: -entry[1])
    )


def _outliers(measured: Mapping[str, Sequence[tuple[str, float]]]) -> tuple[Outlier, ...]:
    found: list[tuple[float, Outlier]] = []
    for name, values in measured.items():
        if len(values) < _FEWEST:
            continue
        median = statistics.median(value for _, value in values)
        deviation = statistics.median(abs(value - median) for _, value in values)
        for job_id, value in values:
            worse = median - value if name in _BETTER_HIGH else value - median
            # 0.6745 makes the median deviation that of a normal distribution.
            score = 0.6745 * worse / deviation if deviation > 0 else 0.0
            if score > _FAR:
                found.append((score, Outlier(job_id, _WORDS[name], value, median)))
    return tuple(outlier for _, outlier in sorted(found, key=lambda entry: -entry[0])[:50])


def _curve(times: Sequence[datetime]) -> tuple[tuple[float, float], ...]:
    """Of times that rise."""
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
    qualities = [(name, _WORDS[name], row[f"quality_{name}"]) for name in QUALITIES]
    rate = f"{row['fps_numerator'] / row['fps_denominator']:.4g}" if row["fps_denominator"] else ""
    size = f"{row['width']}x{row['height']}, {row['frames']} frames at {rate}/s" if row["frames"] else ""
    gaps = sum(gap["stop"] - gap["first"] for gap in row["gaps"] or ())
    facts = (
        ("language", row["language"]),
        ("preset", row["preset"]),
        ("video", size),
        ("frames without a face", str(gaps) if gaps else ""),
        ("consent", row["consent"]),
    )
    return Card(
        job_id=row["job_id"],
        status=row["status"],
        identity=row["identity"] or "",
        driving=title(row["driving"] or ""),
        portrait=_link("cache/appearance", row["appearance_key"], ".jpg") if row["full_uri"] or row["crop_uri"] else "",
        clip=_link("cache/motion", row["motion_key"], ".jpg") if row["full_uri"] or row["crop_uri"] else "",
        poster=_output(row, row["poster_uri"]),
        video=_output(row, row["full_uri"] or row["crop_uri"]),
        seconds=row["seconds"] or 0.0,
        finished=row["finished_at"].isoformat(timespec="seconds") if row["finished_at"] else "",
        flagged=row["flagged"] or "",
        error=row["error"] or "",
        tags=tuple((str(name), str(value)) for name, value in row["tags"] or ()),
        qualities=tuple((name, words, value) for name, words, value in qualities if value is not None),
        facts=tuple((label, value) for label, value in facts if value),
    )


def _output(row: Mapping[str, Any], uri: str | None) -> str:
    """Relative, so that the page works wherever the store is moved to."""
    return _link(f"renders/{row['render_key']}", uris.name(uri)) if uri and row["render_key"] else ""


def _link(folder: str, name: str | None, suffix: str = "") -> str:
    return f"{_ROOT}/{quote(f'{folder}/{name}{suffix}')}" if name else ""

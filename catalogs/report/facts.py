"""What a report says of a run, from the rows of its manifest."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from catalogs import uris
from catalogs.schema import QUALITIES, STAGES
from catalogs.sequences import title

__all__ = ["Card", "Facts", "Outlier", "Stage", "facts_of"]

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
        failures: rows that failed, by kind of error.
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


def facts_of(run_id: str, rows: Sequence[Mapping[str, Any]], most: int) -> Facts:
    """From the rows of a run, one a job, to what its report says; `most` cards at most, failures first."""
    done = [row for row in rows if row["status"] == "done"]
    failures: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["status"] == "failed":
            failures.setdefault(row["error_kind"] or "unknown", []).append(row)
    shown = sorted(rows, key=lambda row: (row["status"] != "failed", row["job_id"]))[:most]
    return Facts(
        run_id=run_id,
        counts=Counter(row["status"] for row in rows),
        started=min((row["started_at"] for row in rows if row["started_at"]), default=None),
        finished=max((row["finished_at"] for row in rows if row["finished_at"]), default=None),
        frames=sum(row["frames"] or 0 for row in done),
        video_seconds=sum(row["seconds"] or 0.0 for row in done),
        video_bytes=sum(row["bytes"] or 0 for row in done),
        weights=next((row["weights"] for row in rows if row["weights"]), ""),
        code_version=next((row["code_version"] for row in rows if row["code_version"]), ""),
        devices=tuple(sorted({row["device"] for row in done if row["device"]})),
        stages=_stages(rows),
        failures=dict(sorted(failures.items(), key=lambda entry: -len(entry[1]))),
        flagged=tuple(row for row in rows if row["flagged"]),
        outliers=_outliers(rows),
        curve=_curve(rows),
        cards=tuple(map(_card, sorted(shown, key=lambda row: row["job_id"]))),
        left_out=len(rows) - len(shown),
    )


def _stages(rows: Iterable[Mapping[str, Any]]) -> tuple[Stage, ...]:
    """Of work; waiting in the queue is none."""
    spent = {stage: sum(row[f"seconds_{stage}"] or 0.0 for row in rows) for stage in STAGES if stage != "queue"}
    every = sum(spent.values())
    return tuple(
        Stage(stage.replace("_", " "), seconds, seconds / every)
        for stage, seconds in sorted(spent.items(), key=lambda entry: -entry[1])
        if seconds > 0
    )


def _outliers(rows: Iterable[Mapping[str, Any]]) -> tuple[Outlier, ...]:
    found: list[tuple[float, Outlier]] = []
    for name in QUALITIES:
        measured = [(row["job_id"], row[f"quality_{name}"]) for row in rows if row[f"quality_{name}"] is not None]
        if len(measured) < _FEWEST:
            continue
        median = statistics.median(value for _, value in measured)
        deviation = statistics.median(abs(value - median) for _, value in measured)
        for job_id, value in measured:
            worse = median - value if name in _BETTER_HIGH else value - median
            # 0.6745 makes the median deviation that of a normal distribution.
            score = 0.6745 * worse / deviation if deviation > 0 else 0.0
            if score > _FAR:
                found.append((score, Outlier(job_id, _WORDS[name], value, median)))
    return tuple(outlier for _, outlier in sorted(found, key=lambda entry: -entry[0])[:50])


def _curve(rows: Iterable[Mapping[str, Any]]) -> tuple[tuple[float, float], ...]:
    times = sorted(row["finished_at"] for row in rows if row["finished_at"])
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

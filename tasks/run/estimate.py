"""The estimate of a request, before anything is done: what it needs, what exists, how long the rest may take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pyarrow.compute as pc

from catalogs.store.store import Store
from catalogs.table.snapshot import snapshot
from tasks.run.inputs.model import Model
from tasks.run.planning import Plan, finished_films, plan_jobs
from tasks.run.policy import RunPolicy
from tasks.steps.specs import FilmSpec, LipsSpec, MotionSpec, PictureSpec, PortraitSpec, TrackSpec
from tasks.weights.shipped import MINIATURE_NOTE
from troupe import Job
from troupe.labels import count_identities

__all__ = ["Basis", "Estimate", "estimate"]

BUSY_STAGES = ("detect", "encode", "denoise", "vae", "paste", "encode_video", "fetch", "decode", "put", "sign")
"""Stages in which a worker is busy with a job."""
_THREADS = 16

Part: TypeAlias = PortraitSpec | MotionSpec | TrackSpec | LipsSpec


@dataclass(frozen=True)
class Basis:
    """The pace of earlier jobs with one preset.

    Attributes:
        preset: preset of these jobs.
        device: device that most of them ran on.
        jobs, frames: number of these jobs and of their frames.
        same_weights: whether they had the same weights; jobs with others count only where there are none with these.
        seconds_a_frame: seconds of jobs per frame, everything included; the name is part of the JSON output. On a GPU a
            worker takes less, because its jobs overlap.
    """

    preset: str
    device: str
    jobs: int
    frames: int
    same_weights: bool
    seconds_a_frame: float


@dataclass(frozen=True)
class Estimate:
    """What a request takes.

    Attributes:
        jobs: number of jobs.
        problems: why jobs cannot be done, by job_id.
        reused: number of jobs whose film exists already, or is another job's too.
        pictures: number of pictures to render; films that differ in sound only share one.
        films: number of films to make of them, and of pictures that exist.
        identities: number of people in the request, and of portraits that are still to be encoded.
        clips, tracks: number of different ones in the request, and of those that the pictures still need.
        frames: number of frames to render, by preset.
        lips: number of different motions with lips by sound in the request, and of those still to be made.
        notes: what to know of jobs before they are done, by job_id.
        basis: pace by preset; presets that were never rendered have none.
    """

    jobs: int
    problems: Mapping[str, str]
    reused: int
    pictures: int
    films: int
    identities: tuple[int, int]
    clips: tuple[int, int]
    tracks: tuple[int, int]
    frames: Mapping[str, int]
    basis: Mapping[str, Basis] = field(default_factory=dict)
    lips: tuple[int, int] = (0, 0)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """The pairs of numbers, with names."""
        pairs = {"identities": self.identities, "clips": self.clips, "tracks": self.tracks, "lips": self.lips}
        return {name: {"requested": requested, "missing": missing} for name, (requested, missing) in pairs.items()}

    @property
    def hours(self) -> float | None:
        """Hours of one worker, a GPU where there are any: there an upper bound. None if a preset has no basis."""
        if any(preset not in self.basis for preset in self.frames):
            return None
        return sum(frames * self.basis[preset].seconds_a_frame for preset, frames in self.frames.items()) / 3600


def estimate(jobs: Sequence[Job], store: Store, model: Model, policy: RunPolicy) -> Estimate:
    """Estimate a request. The store is only read.

    Args:
        model: the model of the run.
        policy: what the run has to keep to.

    Raises:
        WeightsError: the model cannot be used.
        StoreError: the store cannot be read.
    """
    plan = plan_jobs("", jobs, store, model, policy)
    specs = [planned.spec for planned in plan.jobs if planned.spec is not None]
    films: set[str] = set()
    missing: dict[str, PictureSpec] = {}
    for planned, record in finished_films(store, plan.jobs):
        if planned.spec is not None and record is None:
            films.add(planned.spec.key)
            if not planned.has_picture:
                missing[planned.spec.picture.key] = planned.spec.picture
    frames: Counter[str] = Counter()
    for picture in missing.values():
        frames[picture.job.preset] += picture.frames
    portraits = _count_parts(store, specs, missing, lambda spec: spec.portrait)
    people = count_identities(
        [spec.job.identity for spec in specs],
        [spec.picture.portrait.picture.sha256 for spec in specs if not spec.job.identity],
    )
    return Estimate(
        jobs=len(jobs),
        problems={planned.job.job_id: str(planned.error) for planned in plan.jobs if planned.error is not None},
        reused=len(specs) - len(films),
        pictures=len(missing),
        films=len(films),
        identities=(people, portraits[1]),
        clips=_count_parts(store, specs, missing, lambda spec: spec.motion),
        tracks=_count_parts(store, specs, missing, lambda spec: spec.motion.track),
        frames=dict(frames),
        basis=_basis_by_preset(store, plan, frames),
        lips=_count_parts(store, specs, missing, lambda spec: spec.lips),
        notes={
            planned.job.job_id: notes
            for planned in plan.jobs
            if (notes := [note for note in planned.notes if note != MINIATURE_NOTE])
        },
    )


def _count_parts(
    store: Store,
    specs: Iterable[FilmSpec],
    missing: Mapping[str, PictureSpec],
    part: Callable[[PictureSpec], Part | None],
) -> tuple[int, int]:
    """Return how many different parts the specs have, and how many of them the missing pictures still need."""
    needed = {made.key: made for spec in missing.values() if (made := part(spec)) is not None}
    with ThreadPoolExecutor(_THREADS) as threads:
        existing = sum(threads.map(lambda part: store.exists(part.store_key), needed.values()))
    return len({made.key for spec in specs if (made := part(spec.picture)) is not None}), len(needed) - existing


def _basis_by_preset(store: Store, plan: Plan, presets: Iterable[str]) -> dict[str, Basis]:
    stages = [f"seconds_{stage}" for stage in BUSY_STAGES]
    # Films of a picture that another job rendered say nothing about the pace.
    rendered = (pc.field("status") == "done") & (pc.field("picture_key").is_null() | (pc.field("seconds_denoise") > 0))
    rows = snapshot(store).read(rendered, ["preset", "device", "weights", "frames", *stages])
    basis = {}
    for preset in presets:
        found = [row for row in rows.to_pylist() if row["preset"] == preset and row["frames"]]
        same = [row for row in found if row["weights"] == plan.weights]
        if not found:
            continue
        devices = Counter(row["device"] for row in same or found)
        device = devices.most_common(1)[0][0]
        basis[preset] = _basis(preset, device, [row for row in same or found if row["device"] == device], bool(same))
    return basis


def _basis(preset: str, device: str, rows: Sequence[Mapping[str, Any]], same_weights: bool) -> Basis:
    frames = sum(row["frames"] for row in rows)
    seconds = sum(row[f"seconds_{stage}"] or 0.0 for row in rows for stage in BUSY_STAGES)
    return Basis(preset, device, len(rows), frames, same_weights, seconds / frames)

"""What a request would take, before anything is done: what it needs, what exists, how long the rest may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow.compute as pc

from catalogs.store.store import Store
from catalogs.table.snapshot import snapshot
from models.weights import detector_file
from tasks.run.planning import Plan, finished_renders, plan_jobs
from tasks.steps.specs import MotionSpec, PortraitSpec, RenderSpec, TrackSpec
from troupe import Job

__all__ = ["Basis", "Estimate", "estimate"]

WORK = ("detect", "encode", "denoise", "vae", "paste", "encode_video", "fetch", "decode", "put")
"""Stages in which a worker is busy with a job."""
_THREADS = 16

Part: TypeAlias = PortraitSpec | MotionSpec | TrackSpec


@dataclass(frozen=True)
class Basis:
    """What the catalog knows of the pace.

    Attributes:
        preset: of the jobs looked at.
        device: that most of them ran on.
        jobs, frames: that were looked at: done with these weights, or with any where there are none.
        same_weights: whether it were these.
        seconds_a_frame: of one worker, everything included.
    """

    preset: str
    device: str
    jobs: int
    frames: int
    same_weights: bool
    seconds_a_frame: float


@dataclass(frozen=True)
class Estimate:
    """A request, weighed.

    Attributes:
        jobs: in all.
        problems: job_id -> why it could not be done.
        reused: jobs whose render exists already, or is another job's too.
        renders: to make.
        identities, clips: different ones in the request, (all, of these still to be encoded for the renders).
        tracks: of clips, likewise.
        frames: to render, by preset.
        basis: by preset; a preset that was never rendered has none.
        hours: of one worker, a GPU where there are; None where a preset has no basis.
    """

    jobs: int
    problems: Mapping[str, str]
    reused: int
    renders: int
    identities: tuple[int, int]
    clips: tuple[int, int]
    tracks: tuple[int, int]
    frames: Mapping[str, int]
    basis: Mapping[str, Basis] = field(default_factory=dict)

    @property
    def hours(self) -> float | None:
        """See above."""
        if any(preset not in self.basis for preset in self.frames):
            return None
        return sum(frames * self.basis[preset].seconds_a_frame for preset, frames in self.frames.items()) / 3600


def estimate(
    jobs: Sequence[Job], store: Store, weights: Path, detector: Path | None = None, dtype: str = "auto"
) -> Estimate:
    """Weigh a request. The store is only read.

    Args:
        detector: that replaces the weights' own.

    Raises:
        WeightsError: weights or detector cannot be used.
        StoreError: the store cannot be read.
    """
    plan = plan_jobs("", jobs, store, weights, detector or detector_file(weights), dtype)
    specs = [planned.spec for planned in plan.jobs if planned.spec is not None]
    looks = finished_renders(store, plan.jobs)
    to_do = {planned.spec.key: planned.spec for planned, record in looks if planned.spec and record is None}
    frames: Counter[str] = Counter()
    for spec in to_do.values():
        frames[spec.job.preset] += spec.motion.track.frames
    return Estimate(
        jobs=len(jobs),
        problems={planned.job.job_id: str(planned.error) for planned in plan.jobs if planned.error is not None},
        reused=len(specs) - len(to_do),
        renders=len(to_do),
        identities=_missing(store, specs, to_do, lambda spec: spec.portrait),
        clips=_missing(store, specs, to_do, lambda spec: spec.motion),
        tracks=_missing(store, specs, to_do, lambda spec: spec.motion.track),
        frames=dict(frames),
        basis=_pace(store, plan, frames),
    )


def _missing(
    store: Store,
    specs: Iterable[RenderSpec],
    to_do: Mapping[str, RenderSpec],
    part: Callable[[RenderSpec], Part],
) -> tuple[int, int]:
    """How many different parts the orders have, and how many the renders lack."""
    needed = {part(spec).key: part(spec) for spec in to_do.values()}
    with ThreadPoolExecutor(_THREADS) as threads:
        there = sum(threads.map(lambda part: store.exists(part.place), needed.values()))
    return len({part(spec).key for spec in specs}), len(needed) - there


def _pace(store: Store, plan: Plan, presets: Iterable[str]) -> dict[str, Basis]:
    stages = [f"seconds_{stage}" for stage in WORK]
    rows = snapshot(store).read(pc.field("status") == "done", ["preset", "device", "weights", "frames", *stages])
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


def _basis(preset: str, device: str, rows: Sequence[Mapping[str, Any]], same: bool) -> Basis:
    frames = sum(row["frames"] for row in rows)
    seconds = sum(row[f"seconds_{stage}"] or 0.0 for row in rows for stage in WORK)
    return Basis(preset, device, len(rows), frames, same, seconds / frames)

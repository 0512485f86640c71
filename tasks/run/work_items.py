"""Specs as work items of the pool: which worker does them, what they need, how long they may take.

Costs are in passes of a frame through the denoiser, as far as items of one role are compared. A timeout is many times
what the slowest usable device needs: it is for what hangs, not for what is slow.
"""

from __future__ import annotations

from catalogs.store.uris import name
from tasks.pool import WorkItem
from tasks.run.sizing import PREPROCESS, RENDER
from tasks.steps.specs import MotionSpec, PortraitSpec, RenderSpec, TrackSpec
from tasks.steps.workers import PreprocessWorker, RenderWorker

__all__ = ["portrait_item", "work_items"]

COST_PER_PORTRAIT = 20.0
MIN_TIMEOUT = 900.0
"""Seconds of every timeout: to fetch and publish on a slow line, and for the first job of a cold GPU."""
SECONDS_PER_FRAME = 5.0
"""Seconds of a timeout per frame to track or encode."""
SECONDS_PER_SAMPLER_STEP = 60.0
"""Seconds of a timeout per frame and step of the sampler."""


def portrait_item(spec: PortraitSpec) -> WorkItem:
    """Return the item that encodes a portrait; its worker then has the portrait in memory."""
    return WorkItem(
        f"appearance:{spec.key}",
        RENDER,
        RenderWorker.portrait,
        (spec,),
        affinity_key=spec.key,
        cost=COST_PER_PORTRAIT,
        timeout=MIN_TIMEOUT,
        label=f"portrait {name(spec.picture.uri)}",
    )


def work_items(spec: RenderSpec) -> tuple[WorkItem, ...]:
    """Return all items that a render needs, in order; the last one is the render itself.

    Renders share the items of their portrait and their clip: the pool does each key once.
    """
    portrait, track, motion = portrait_item(spec.portrait), _track_item(spec.motion.track), _motion_item(spec.motion)
    render = WorkItem(
        f"render:{spec.key}",
        RENDER,
        RenderWorker.render,
        (spec,),
        needs=(portrait.key, motion.key),
        affinity_key=spec.portrait.key,
        cost=float(spec.motion.track.frames * spec.settings.steps),
        timeout=MIN_TIMEOUT + SECONDS_PER_SAMPLER_STEP * spec.settings.steps * spec.motion.track.frames,
        label=spec.job.job_id,
    )
    return portrait, track, motion, render


def _track_item(spec: TrackSpec) -> WorkItem:
    return WorkItem(
        f"track:{spec.key}",
        PREPROCESS,
        PreprocessWorker.track,
        (spec,),
        cost=float(spec.frames),
        timeout=MIN_TIMEOUT + SECONDS_PER_FRAME * spec.frames,
        label=f"clip {name(spec.clip.uri)}",
    )


def _motion_item(spec: MotionSpec) -> WorkItem:
    return WorkItem(
        f"motion:{spec.key}",
        RENDER,
        RenderWorker.motion,
        (spec,),
        needs=(f"track:{spec.track.key}",),
        cost=float(spec.track.frames),
        timeout=MIN_TIMEOUT + SECONDS_PER_FRAME * spec.track.frames,
        label=f"clip {name(spec.track.clip.uri)}",
    )

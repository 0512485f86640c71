"""From orders to works of the pool: who does what, what must come first, what takes long.

Costs are in passes of a frame through the denoiser, as far as works of one role are compared. A time limit is what
the slowest device that is any use would need, many times over: it is for what hangs, not for what is slow.
"""

from __future__ import annotations

from tasks.pool import WorkItem
from tasks.run.sizing import PREPROCESS, RENDER
from tasks.steps.specs import MotionSpec, PortraitSpec, RenderSpec, TrackSpec
from tasks.steps.workers import PreprocessWorker, RenderWorker

PORTRAIT_COST = 20.0
LEAST_SECONDS = 900.0
"""Of every limit: to fetch and to publish on a slow line, and for the first job of a cold GPU."""
SECONDS_A_FRAME = {"track": 5.0, "motion": 5.0}
SECONDS_A_STEP = 60.0
"""For one frame and one step of the sampler."""

__all__ = ["portrait_item", "render_key", "work_items"]


def portrait_item(spec: PortraitSpec) -> WorkItem:
    """Encode an identity; the worker that does then holds it."""
    return WorkItem(
        f"appearance:{spec.key}",
        RENDER,
        RenderWorker.portrait,
        (spec,),
        affinity_key=spec.key,
        cost=PORTRAIT_COST,
        timeout=LEAST_SECONDS,
    )


def render_key(spec: RenderSpec) -> str:
    """The key of the order's last work."""
    return f"render:{spec.key}"


def work_items(spec: RenderSpec) -> tuple[WorkItem, ...]:
    """All that an order needs, what comes first first; the last one is the render.

    Orders share the works for their identity and their clip: the pool does the same key once.
    """
    portrait, track, motion = portrait_item(spec.portrait), _track_work(spec.motion.track), _motion_work(spec.motion)
    render = WorkItem(
        render_key(spec),
        RENDER,
        RenderWorker.render,
        (spec,),
        needs=(portrait.key, motion.key),
        affinity_key=spec.portrait.key,
        cost=float(spec.motion.track.frames * spec.settings.steps),
        timeout=LEAST_SECONDS + SECONDS_A_STEP * spec.settings.steps * spec.motion.track.frames,
    )
    return portrait, track, motion, render


def _track_work(spec: TrackSpec) -> WorkItem:
    timeout = LEAST_SECONDS + SECONDS_A_FRAME["track"] * spec.frames
    return WorkItem(
        f"track:{spec.key}", PREPROCESS, PreprocessWorker.track, (spec,), cost=float(spec.frames), timeout=timeout
    )


def _motion_work(spec: MotionSpec) -> WorkItem:
    return WorkItem(
        f"motion:{spec.key}",
        RENDER,
        RenderWorker.motion,
        (spec,),
        needs=(f"track:{spec.track.key}",),
        cost=float(spec.track.frames),
        timeout=LEAST_SECONDS + SECONDS_A_FRAME["motion"] * spec.track.frames,
    )

"""From orders to works of the pool: who does what, what must come first, what takes long.

Costs are in passes of a frame through the denoiser, as far as works of one role are compared. A time limit is what
the slowest device that is any use would need, many times over: it is for what hangs, not for what is slow.
"""

from __future__ import annotations

from tasks.pool import Work
from tasks.run.sizing import PERFORM, PREPARE
from tasks.steps.specs import MotionOrder, PortraitOrder, RenderOrder, TrackOrder

PORTRAIT_COST = 20.0
LEAST_SECONDS = 900.0
"""Of every limit: to fetch and to publish on a slow line, and for the first job of a cold GPU."""
SECONDS_A_FRAME = {"track": 5.0, "motion": 5.0}
SECONDS_A_STEP = 60.0
"""For one frame and one step of the sampler."""

__all__ = ["portrait_work", "render_key", "works"]


def portrait_work(order: PortraitOrder) -> Work:
    """Encode an identity; the worker that does then holds it."""
    return Work(
        f"appearance:{order.key}",
        PERFORM,
        "portrait",
        (order,),
        holds=order.key,
        cost=PORTRAIT_COST,
        timeout=LEAST_SECONDS,
    )


def render_key(order: RenderOrder) -> str:
    """The key of the order's last work."""
    return f"render:{order.key}"


def works(order: RenderOrder) -> tuple[Work, ...]:
    """All that an order needs, what comes first first; the last one is the render.

    Orders share the works for their identity and their clip: the pool does the same key once.
    """
    portrait, track, motion = portrait_work(order.portrait), _track_work(order.motion.track), _motion_work(order.motion)
    render = Work(
        render_key(order),
        PERFORM,
        "render",
        (order,),
        needs=(portrait.key, motion.key),
        holds=order.portrait.key,
        cost=float(order.motion.track.frames * order.settings.steps),
        timeout=LEAST_SECONDS + SECONDS_A_STEP * order.settings.steps * order.motion.track.frames,
    )
    return portrait, track, motion, render


def _track_work(order: TrackOrder) -> Work:
    timeout = LEAST_SECONDS + SECONDS_A_FRAME["track"] * order.frames
    return Work(f"track:{order.key}", PREPARE, "track", (order,), cost=float(order.frames), timeout=timeout)


def _motion_work(order: MotionOrder) -> Work:
    return Work(
        f"motion:{order.key}",
        PERFORM,
        "motion",
        (order,),
        needs=(f"track:{order.track.key}",),
        cost=float(order.track.frames),
        timeout=LEAST_SECONDS + SECONDS_A_FRAME["motion"] * order.track.frames,
    )

"""From orders to works of the pool: who does what, what must come first."""

from __future__ import annotations

from tasks.crew import PERFORM, PREPARE
from tasks.orders import MotionOrder, PortraitOrder, RenderOrder, TrackOrder
from tasks.pool import Work

__all__ = ["portrait_work", "render_key", "works"]


def portrait_work(order: PortraitOrder) -> Work:
    """Encode an identity; the worker that does then holds it."""
    return Work(f"appearance:{order.key}", PERFORM, "portrait", (order,), holds=order.key)


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
    )
    return portrait, track, motion, render


def _track_work(order: TrackOrder) -> Work:
    return Work(f"track:{order.key}", PREPARE, "track", (order,))


def _motion_work(order: MotionOrder) -> Work:
    return Work(f"motion:{order.key}", PERFORM, "motion", (order,), needs=(f"track:{order.track.key}",))

"""The two kinds of workers: one prepares clips ahead, one holds the networks and performs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from models.motion import Motion
from tasks.steps.appearance import CastMember, encode_portrait, read_cast_member
from tasks.steps.context import Recent, Setup, Tools
from tasks.steps.motion import encode_clip, read_motion, track_clip
from tasks.steps.render import render
from tasks.steps.specs import Done, MotionOrder, PortraitOrder, Rendered, RenderOrder, TrackOrder
from troupe.errors import OutOfMemory

T = TypeVar("T")

_log = logging.getLogger(__name__)

__all__ = ["Performer", "Preparer"]


class Preparer:
    """Follows faces through clips; needs no network but the detector."""

    def __init__(self, setup: Setup) -> None:
        self._tools = Tools(setup)

    def track(self, order: TrackOrder) -> Done:
        """See `tasks.steps.motion.track_clip`."""
        return track_clip(self._tools, order)


class Performer:
    """Encodes portraits and clips and renders; keeps the identities and clips it last worked with at hand.

    Args:
        setup: what every worker of the run is given.
        stopped: whether to give up, asked often. Only for workers that cannot be killed, as they are in our process.
    """

    def __init__(self, setup: Setup, stopped: Callable[[], bool] = lambda: False) -> None:
        self._tools = Tools(setup, stopped)
        self._members: Recent[CastMember] = Recent(4)
        self._motions: Recent[tuple[Motion, ...]] = Recent(4)
        # Weights that do not fit must fail the worker's start, not every one of its jobs.
        self._tools.animator  # noqa: B018

    def portrait(self, order: PortraitOrder) -> Done:
        """See `tasks.steps.appearance.encode_portrait`."""
        return self._within_memory(lambda: encode_portrait(self._tools, order))

    def motion(self, order: MotionOrder) -> Done:
        """See `tasks.steps.motion.encode_clip`."""
        return self._within_memory(lambda: encode_clip(self._tools, order))

    def render(self, order: RenderOrder) -> Rendered:
        """See `tasks.steps.render.render`."""
        member = self._members.get(order.portrait.key, lambda: read_cast_member(self._tools, order.portrait))
        shots = self._motions.get(order.motion.key, lambda: read_motion(self._tools, order.motion))
        return self._within_memory(lambda: render(self._tools, order, member, shots))

    def _within_memory(self, work: Callable[[], T]) -> T:
        """Do the work, again with less memory as long as it does not suffice; after that a fresh process may help."""
        while True:
            try:
                return work()
            except OutOfMemory as error:
                if not self._tools.animator.shrink():
                    raise
                _log.warning("%s; trying again with a smaller share of the memory", error.message)

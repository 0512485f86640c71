"""The two kinds of workers: one prepares clips ahead, one holds the networks and performs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from models.motion import Motion
from tasks.steps.appearance import EncodedPortrait, encode_portrait, read_encoded_portrait
from tasks.steps.context import Recent, WorkerConfig, WorkerContext
from tasks.steps.motion import encode_clip, read_motion, track_clip
from tasks.steps.render import render
from tasks.steps.specs import Done, MotionSpec, PortraitSpec, Rendered, RenderSpec, TrackSpec
from troupe.errors import OutOfMemory

T = TypeVar("T")

_log = logging.getLogger(__name__)

__all__ = ["PreprocessWorker", "RenderWorker"]


class PreprocessWorker:
    """Follows faces through clips; needs no network but the detector."""

    def __init__(self, setup: WorkerConfig) -> None:
        self._tools = WorkerContext(setup)

    def track(self, spec: TrackSpec) -> Done:
        """See `tasks.steps.motion.track_clip`."""
        return track_clip(self._tools, spec)


class RenderWorker:
    """Encodes portraits and clips and renders; keeps the identities and clips it last worked with at hand.

    Args:
        setup: what every worker of the run is given.
        stopped: whether to give up, asked often. Only for workers that cannot be killed, as they are in our process.
    """

    def __init__(self, setup: WorkerConfig, stopped: Callable[[], bool] = lambda: False) -> None:
        self._tools = WorkerContext(setup, stopped)
        self._members: Recent[EncodedPortrait] = Recent(4)
        self._motions: Recent[tuple[Motion, ...]] = Recent(4)
        # Weights that do not fit must fail the worker's start, not every one of its jobs.
        self._tools.animator  # noqa: B018

    def portrait(self, spec: PortraitSpec) -> Done:
        """See `tasks.steps.appearance.encode_portrait`."""
        return self._within_memory(lambda: encode_portrait(self._tools, spec))

    def motion(self, spec: MotionSpec) -> Done:
        """See `tasks.steps.motion.encode_clip`."""
        return self._within_memory(lambda: encode_clip(self._tools, spec))

    def render(self, spec: RenderSpec) -> Rendered:
        """See `tasks.steps.render.render`."""
        member = self._members.get(spec.portrait.key, lambda: read_encoded_portrait(self._tools, spec.portrait))
        shots = self._motions.get(spec.motion.key, lambda: read_motion(self._tools, spec.motion))
        return self._within_memory(lambda: render(self._tools, spec, member, shots))

    def _within_memory(self, work: Callable[[], T]) -> T:
        """Do the work, again with less memory as long as it does not suffice; after that a fresh process may help."""
        while True:
            try:
                return work()
            except OutOfMemory as error:
                if not self._tools.animator.shrink():
                    raise
                _log.warning("%s; trying again with a smaller share of the memory", error.message)

"""The workers: one preprocesses clips ahead and makes films, one holds the networks, encodes and renders.

Each imports its steps when it is constructed: the run's process, which only names the workers, does without torch, and
the first one without the denoiser's libraries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from itertools import islice
from typing import TYPE_CHECKING

from tasks.steps.context import WorkerConfig, WorkerContext
from tasks.steps.lru_cache import LRUCache
from tasks.steps.specs import (
    Done,
    FilmDone,
    FilmSpec,
    LipsSpec,
    MotionSpec,
    PictureDone,
    PictureSpec,
    PortraitSpec,
    TrackSpec,
)
from troupe import Picture
from troupe.errors import OutOfMemory

if TYPE_CHECKING:
    from models.motion import Motion
    from tasks.steps.appearance import EncodedPortrait

_log = logging.getLogger(__name__)

__all__ = ["PreprocessWorker", "RenderWorker"]


class PreprocessWorker:
    """Tracks faces in clips and joins pictures with sound; needs no network but the face detector."""

    def __init__(self, config: WorkerConfig) -> None:
        from tasks.steps import motion
        from tasks.steps.films import film

        self._motion, self._film = motion, film
        self._context = WorkerContext(config)

    def track(self, spec: TrackSpec) -> Done:
        """See `tasks.steps.motion.track_clip`."""
        return self._motion.track_clip(self._context, spec)

    def film(self, spec: FilmSpec) -> FilmDone:
        """See `tasks.steps.films.film.make_film`."""
        return self._film.make_film(self._context, spec)


class RenderWorker:
    """Encodes portraits and clips, and renders; keeps the portraits and motions that it used last.

    Several items may be given to it at once, each on a thread of its own: while the frames of one picture are decoded,
    pasted, measured, encoded and put, the next is denoised, and the one after that prepared. See `models.runtime.turns`
    for who computes on the device.

    Args:
        config: configuration of the run's workers.
        stopped: whether the run is being stopped; called often. Only for workers in this process, which cannot be
            killed.
    """

    def __init__(self, config: WorkerConfig, stopped: Callable[[], bool] = lambda: False) -> None:
        from tasks.steps import appearance, lips, motion, render

        self._appearance, self._lips, self._motion, self._render = appearance, lips, motion, render
        self._context = WorkerContext(config, stopped)
        self._portraits: LRUCache[EncodedPortrait] = LRUCache(4)
        self._motions: LRUCache[tuple[Motion, ...]] = LRUCache(4)
        # Weights that do not fit must fail the worker's start, not every one of its jobs.
        self._context.animator  # noqa: B018

    @property
    def context(self) -> WorkerContext:
        """What this worker uses."""
        return self._context

    def portrait(self, spec: PortraitSpec) -> Done:
        """See `tasks.steps.appearance.encode_portrait`."""
        while True:
            try:
                return self._appearance.encode_portrait(self._context, spec)
            except OutOfMemory as error:
                self._shrink(error)

    def motion(self, spec: MotionSpec) -> Done:
        """See `tasks.steps.motion.encode_clip`."""
        while True:
            try:
                return self._motion.encode_clip(self._context, spec)
            except OutOfMemory as error:
                self._shrink(error)

    def lips(self, spec: LipsSpec) -> Done:
        """See `tasks.steps.lips.move_lips`."""
        return self._lips.move_lips(self._context, spec)

    def picture(self, spec: PictureSpec) -> PictureDone:
        """See `tasks.steps.render.render_picture`."""
        portrait, shots = self._encoded(spec)
        while True:
            try:
                return self._render.render_picture(self._context, spec, portrait, shots)
            except OutOfMemory as error:
                self._shrink(error)

    def stream(self, spec: PictureSpec) -> Generator[Picture, None, None]:
        """See `tasks.steps.render.stream_frames`."""
        portrait, shots = self._encoded(spec)
        yielded = 0
        while True:
            try:
                # The results are the same with less memory: what was yielded before is skipped.
                for frame in islice(self._render.stream_frames(self._context, spec, portrait, shots), yielded, None):
                    yielded += 1
                    yield frame
                return
            except OutOfMemory as error:
                self._shrink(error)

    def _encoded(self, spec: PictureSpec) -> tuple[EncodedPortrait, tuple[Motion, ...]]:
        context = self._context
        return (
            self._portraits.get(
                spec.portrait.key, lambda: self._appearance.read_encoded_portrait(context, spec.portrait)
            ),
            self._motions.get(spec.motion.key, lambda: self._motion.read_motion(context, spec.motion)),
        )

    def _shrink(self, error: OutOfMemory) -> None:
        """Use less memory for the next attempt; raise the error if nothing is left to give up.

        After that, a fresh process may help.
        """
        if not self._context.animator.shrink():
            raise error
        _log.warning("%s; trying again with a smaller share of the memory", error.message)

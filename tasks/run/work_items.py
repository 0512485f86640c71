"""Specs as work items of the pool: which worker does them, what they need, how long they may take.

Costs are in passes of a frame through the denoiser, as far as items of one role are compared. A timeout is many times
what the slowest usable device needs: it is for what hangs, not for what is slow.
"""

from __future__ import annotations

from catalogs.store.uris import name
from tasks.pool import WorkItem
from tasks.run.worker_roles import PREPROCESS, RENDER
from tasks.steps.specs import FilmSpec, LipsSpec, MotionSpec, PortraitSpec, TrackSpec
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


def work_items(spec: FilmSpec, *, has_picture: bool) -> tuple[WorkItem, ...]:
    """Return all items that a film needs, in order; the last one is the film itself.

    Films share the items of their portrait, their clip and their picture: the pool does each key once.

    Args:
        has_picture: whether the picture exists already.
    """
    if has_picture:
        return (_film_item(spec),)
    picture = spec.picture
    passes = picture.frames * picture.settings.steps
    portrait, track, motion = (
        portrait_item(picture.portrait),
        _track_item(picture.motion.track),
        _motion_item(picture.motion),
    )
    lips = () if picture.lips is None else (_lips_item(picture.lips, motion),)
    render = WorkItem(
        f"picture:{picture.key}",
        RENDER,
        RenderWorker.picture,
        (picture,),
        needs=(portrait.key, *(item.key for item in lips or (motion,))),
        affinity_key=picture.portrait.key,
        cost=float(passes),
        timeout=MIN_TIMEOUT + SECONDS_PER_SAMPLER_STEP * passes,
        label=picture.job.job_id,
    )
    return portrait, track, motion, *lips, render, _film_item(spec, needs=(render.key,))


def _film_item(spec: FilmSpec, needs: tuple[str, ...] = ()) -> WorkItem:
    frames = spec.picture.frames
    return WorkItem(
        f"film:{spec.key}",
        PREPROCESS,
        PreprocessWorker.film,
        (spec,),
        needs=needs,
        finishing=True,
        timeout=MIN_TIMEOUT + SECONDS_PER_FRAME * frames,
        label=spec.job.job_id,
    )


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


def _lips_item(spec: LipsSpec, motion: WorkItem) -> WorkItem:
    return WorkItem(
        f"lips:{spec.key}",
        RENDER,
        RenderWorker.lips,
        (spec,),
        needs=(motion.key,),
        timeout=MIN_TIMEOUT + SECONDS_PER_FRAME * spec.frames,
        label=f"lips {name(spec.audio.uri if spec.audio is not None else spec.motion.track.clip.uri)}",
    )

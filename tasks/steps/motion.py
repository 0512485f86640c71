"""A driving clip becomes motion: fetched, its face followed, its crops encoded, put in the cache."""

from __future__ import annotations

from itertools import islice

from catalogs.requests.tracks import read_track, write_track
from models.faces import follow, refuse_gaps, shots
from models.motion import Motion, load_shots, save_shots
from tasks import media
from tasks.steps.context import Tools
from tasks.steps.specs import Done, MotionOrder, TrackOrder
from tasks.steps.thumbnails import FirstFrame, put_thumbnail
from troupe import Track
from troupe.errors import StoreError
from troupe.stopwatch import Stopwatch

__all__ = ["encode_clip", "read_motion", "track_clip"]


def track_clip(tools: Tools, order: TrackOrder) -> Done:
    """See to it that the track of the clip's face lies in the cache.

    Raises:
        InputError: the clip or the ready-made track is missing or unreadable, or no face is seen in the clip, or is
            missing from it for longer than the job allows.
    """
    if tools.store.exists(order.place):
        return Done(reused=True)
    watch = Stopwatch()
    with watch("fetch"):
        clip = tools.input(order.uri)
        ready_made = tools.input(order.tracks) if order.tracks else None
    if ready_made is not None:
        track = read_track(ready_made)
    else:
        with watch("detect"), tools.seeking() as detector:
            frames = watch.each("decode", media.decode(clip, order.start, order.end, order.fps))
            anew = order.gaps == "cut"
            track = follow(frames, detector, order.face, order.uri, recognise=tools.recognise, anew=anew)
    if order.gaps == "fail":
        refuse_gaps(track, order.uri)
    with watch("put"), tools.scratch() as folder:
        file = folder / "track.parquet"
        write_track(track, file)
        put = tools.store.put(file, order.place)
    return Done(reused=False, seconds=watch.seconds, puts=int(put.created))


def encode_clip(tools: Tools, order: MotionOrder) -> Done:
    """See to it that the motion of the tracked clip lies in the cache.

    Raises:
        InputError: the clip is missing or unreadable, or has another number of frames than its track.
    """
    if tools.store.exists(order.place):
        return Done(reused=True)
    watch = Stopwatch()
    with watch("fetch"):
        clip = tools.input(order.track.uri)
        track = fetch_track(tools, order.track)
    with watch("encode"):
        decoded = media.decode(clip, order.track.start, order.track.end, order.track.fps)
        frames = FirstFrame(watch.each("decode", decoded), track)
        motions = []
        for first, stop in shots(track, order.track.gaps):
            # The last shot takes all there is, so that a track that is too short is found out.
            shown = islice(frames, stop - first) if stop < len(track) else frames
            motions.append(tools.animator.encode_motion(shown, track.part(first, stop), order.crop))
    with watch("put"), tools.scratch() as folder:
        file = folder / "motion.safetensors"
        save_shots(motions, file)
        put = tools.store.put(file, order.place)
        puts = put.created + put_thumbnail(tools.store, order.place, frames.head)
    return Done(reused=False, seconds=watch.seconds, puts=puts)


def fetch_track(tools: Tools, order: TrackOrder) -> Track:
    """The track from the cache."""
    with tools.scratch() as folder:
        file = folder / "track.parquet"
        tools.store.get(order.place, file)
        return read_track(file)


def read_motion(tools: Tools, order: MotionOrder) -> tuple[Motion, ...]:
    """The motion from the cache, a shot at a time.

    Raises:
        StoreError: it cannot be fetched, or is damaged.
    """
    with tools.scratch() as folder:
        file = folder / "motion.safetensors"
        tools.store.get(order.place, file)
        try:
            return load_shots(file)
        except ValueError as error:
            raise StoreError(f"{order.place}: {error}") from error

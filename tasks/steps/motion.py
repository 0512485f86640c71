"""A driving clip becomes motion: fetched, its face followed, its crops encoded, put in the cache."""

from __future__ import annotations

from itertools import islice

from catalogs.requests.tracks import read_track, write_track
from models.faces import reject_gaps, split_shots, track_face
from models.motion import Motion, load_shots, save_shots
from tasks import media
from tasks.steps.context import WorkerContext
from tasks.steps.specs import Done, MotionSpec, TrackSpec
from tasks.steps.thumbnails import FirstFrame, put_thumbnail
from troupe import Track
from troupe.errors import StoreError
from troupe.stopwatch import Stopwatch

__all__ = ["encode_clip", "read_motion", "track_clip"]


def track_clip(tools: WorkerContext, spec: TrackSpec) -> Done:
    """See to it that the track of the clip's face lies in the cache.

    Raises:
        InputError: the clip or the ready-made track is missing or unreadable, or no face is seen in the clip, or is
            missing from it for longer than the job allows.
    """
    if tools.store.exists(spec.place):
        return Done(reused=True)
    watch = Stopwatch()
    with watch("fetch"):
        clip = tools.input(spec.uri)
        ready_made = tools.input(spec.tracks) if spec.tracks else None
    if ready_made is not None:
        track = read_track(ready_made)
    else:
        with watch("detect"), tools.seeking() as detector:
            frames = watch.each("decode", media.decode(clip, spec.start, spec.end, spec.fps))
            reselect = spec.gaps == "cut"
            track = track_face(frames, detector, spec.face, spec.uri, recognise=tools.recognise, reselect=reselect)
    if spec.gaps == "fail":
        reject_gaps(track, spec.uri)
    with watch("put"), tools.scratch() as folder:
        file = folder / "track.parquet"
        write_track(track, file)
        put = tools.store.put(file, spec.place)
    return Done(reused=False, seconds=watch.seconds, puts=int(put.created))


def encode_clip(tools: WorkerContext, spec: MotionSpec) -> Done:
    """See to it that the motion of the tracked clip lies in the cache.

    Raises:
        InputError: the clip is missing or unreadable, or has another number of frames than its track.
    """
    if tools.store.exists(spec.place):
        return Done(reused=True)
    watch = Stopwatch()
    with watch("fetch"):
        clip = tools.input(spec.track.uri)
        track = fetch_track(tools, spec.track)
    with watch("encode"):
        decoded = media.decode(clip, spec.track.start, spec.track.end, spec.track.fps)
        frames = FirstFrame(watch.each("decode", decoded), track)
        motions = []
        for first, stop in split_shots(track, spec.track.gaps):
            # The last shot takes all there is, so that a track that is too short is found out.
            shown = islice(frames, stop - first) if stop < len(track) else frames
            motions.append(tools.animator.encode_motion(shown, track.part(first, stop), spec.crop))
    with watch("put"), tools.scratch() as folder:
        file = folder / "motion.safetensors"
        save_shots(motions, file)
        put = tools.store.put(file, spec.place)
        puts = put.created + put_thumbnail(tools.store, spec.place, frames.head)
    return Done(reused=False, seconds=watch.seconds, puts=puts)


def fetch_track(tools: WorkerContext, spec: TrackSpec) -> Track:
    """The track from the cache."""
    with tools.scratch() as folder:
        file = folder / "track.parquet"
        tools.store.get(spec.place, file)
        return read_track(file)


def read_motion(tools: WorkerContext, spec: MotionSpec) -> tuple[Motion, ...]:
    """The motion from the cache, a shot at a time.

    Raises:
        StoreError: it cannot be fetched, or is damaged.
    """
    with tools.scratch() as folder:
        file = folder / "motion.safetensors"
        tools.store.get(spec.place, file)
        try:
            return load_shots(file)
        except ValueError as error:
            raise StoreError(f"{spec.place}: {error}") from error

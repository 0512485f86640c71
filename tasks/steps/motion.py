"""The track and motion steps: fetch a driving clip, track its face, encode its crops, put them into the cache."""

from __future__ import annotations

from itertools import islice

from catalogs.requests.tracks import read_track, write_track
from models.faces import reject_gaps, split_shots, track_face
from models.motion import Motion, load_shots, save_shots
from tasks import media
from tasks.steps.cached_step import Write, cached_step, read_cached
from tasks.steps.context import WorkerContext
from tasks.steps.specs import Done, MotionSpec, TrackSpec
from tasks.steps.thumbnails import FirstFrame
from troupe import Picture, Track
from troupe.progress import report_each
from troupe.stopwatch import Stopwatch

__all__ = ["encode_clip", "fetch_track", "read_motion", "track_clip"]


def track_clip(context: WorkerContext, spec: TrackSpec) -> Done:
    """Track the clip's face into the cache, unless its track is there.

    Raises:
        InputError: the clip or the ready-made track is missing or unreadable, or no face is seen in the clip, or is
            missing from it for longer than the job allows.
    """

    def compute(watch: Stopwatch) -> tuple[Write, None]:
        with watch("fetch"):
            clip = context.input(spec.clip)
            ready_made = context.input(spec.tracks) if spec.tracks else None
        if ready_made is not None:
            track = read_track(ready_made)
        else:
            with watch("detect"), context.detecting() as detector:
                decoded = media.decode(clip, spec.start, spec.end, spec.fps, spec.video_track)
                frames = report_each(watch.each("decode", decoded), "tracking", spec.frames, "frames")
                reselect = spec.gaps == "cut"
                track = track_face(
                    frames, detector, spec.face, spec.clip.uri, recognise=context.recognise, reselect=reselect
                )
        if spec.gaps == "fail":
            reject_gaps(track, spec.clip.uri)
        return lambda file: write_track(track, file), None

    return cached_step(context, spec.store_key, compute, spec.clip, *([spec.tracks] if spec.tracks else []))


def encode_clip(context: WorkerContext, spec: MotionSpec) -> Done:
    """Encode the motion of the tracked clip into the cache, unless it is there.

    Raises:
        InputError: the clip is missing or unreadable, or its track has a different number of frames.
    """

    def compute(watch: Stopwatch) -> tuple[Write, Picture | None]:
        with watch("fetch"):
            clip = context.input(spec.track.clip)
            track = fetch_track(context, spec.track)
        with watch("encode"):
            decoded = media.decode(clip, spec.track.start, spec.track.end, spec.track.fps, spec.track.video_track)
            counted = report_each(watch.each("decode", decoded), "encoding", len(track), "frames")
            frames = FirstFrame(counted, track)
            motions = []
            for first, stop in split_shots(track, spec.track.gaps):
                # The last shot gets all remaining frames, so that a track that is too short is noticed.
                shown = islice(frames, stop - first) if stop < len(track) else frames
                motions.append(context.animator.encode_motion(shown, track.part(first, stop), spec.crop))
        return lambda file: save_shots(motions, file), frames.head

    return cached_step(context, spec.store_key, compute, spec.track.clip)


def fetch_track(context: WorkerContext, spec: TrackSpec) -> Track:
    """Return the track from the cache, made again if it is damaged."""
    return read_cached(context, spec.store_key, read_track, lambda: track_clip(context, spec))


def read_motion(context: WorkerContext, spec: MotionSpec) -> tuple[Motion, ...]:
    """Return the motion from the cache, one per shot, made again if it is damaged.

    Raises:
        StoreError: it cannot be fetched.
        InputError: it is damaged, and the clip cannot be encoded again.
    """
    return read_cached(context, spec.store_key, load_shots, lambda: encode_clip(context, spec))

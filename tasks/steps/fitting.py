"""Fit the motion of a driving clip to the length of a sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from models.motion import Motion
from models.motion.extend import extend_shots, shown_frames
from models.motion.resample import resample_shots
from tasks import media
from tasks.media import Timing
from tasks.media.fit import Fit, decide_fit
from tasks.media.timing import even_timing, extended_timing
from tasks.steps.context import WorkerContext
from tasks.steps.motion import fetch_track
from tasks.steps.specs import MotionSpec
from troupe import Job, Track
from troupe.errors import InputError

__all__ = ["FittedMotion", "fit_motion", "fit_timing", "motion_timing"]


@dataclass(frozen=True, eq=False)
class FittedMotion:
    """A motion, at the length of its picture.

    Attributes:
        shots: one motion per shot.
        track: track of all frames.
        timing: times of the frames.
        notes: what was changed, for the user.
    """

    shots: Sequence[Motion]
    track: Track
    timing: Timing
    notes: tuple[str, ...] = ()


def motion_timing(context: WorkerContext, motion: MotionSpec, job: Job) -> Timing:
    """Return the times of the frames of a job's driving clip.

    Raises:
        InputError: the clip is missing or unreadable.
    """
    clip = context.input(motion.track.clip)
    return media.timing_of(clip, job.start, job.end, job.fps, job.video_track)


def fit_motion(
    context: WorkerContext, spec: MotionSpec, job: Job, shots: Sequence[Motion], fit_to: Fraction | None
) -> FittedMotion:
    """Return the motion of a clip at the length of the sound, as far as the job allows.

    Args:
        shots: what `encode_clip` put into the cache.
        fit_to: length of the sound in seconds; None leaves the motion as it is.

    Raises:
        InputError: the clip is missing or unreadable, or the sound's length differs by more than the job allows.
    """
    track, timing = fetch_track(context, spec.track), motion_timing(context, spec, job)
    if fit_to is None:
        return FittedMotion(shots, track, timing)
    fit, fitted = fit_timing(job, timing, fit_to)
    count, window, notes = len(track), context.animator.config.window, []
    if fit.motion_frames != count:
        times = None if timing.even else timing.times
        shots, track = resample_shots(shots, track, fit.motion_frames, window=window, crop=spec.crop, times=times)
        notes.append(f"picture: motion of {count} frames stretched to {fit.motion_frames} to fit the sound")
    if len(fitted.times) > len(track):
        shown = shown_frames(len(track), len(fitted.times), fit.extension)
        shots, track = extend_shots(shots, track, shown, window=window, crop=spec.crop)
        seconds = float(fit.extended_frames / timing.rate)
        notes.append(f"picture: motion extended by {seconds:.2f} s to fit the sound ({fit.extension})")
    return FittedMotion(shots, track, fitted, tuple(notes))


def fit_timing(job: Job, timing: Timing, fit_to: Fraction) -> tuple[Fit, Timing]:
    """Decide how a motion fits a sound; return that, and the times of the frames to render.

    Frames that `hold` and `bounce` add are rendered where lips follow the sound; otherwise the film repeats them.

    Args:
        timing: times of the clip's frames.
        fit_to: length of the sound in seconds.

    Raises:
        InputError: the sound's length differs by more than the job allows.
    """
    count = len(timing.times)
    length = None if timing.even else Fraction(timing.seconds).limit_denominator(10**6)
    fit = decide_fit(job.fit, count, timing.rate, fit_to, picture=length, stretch_limit=job.stretch_limit)
    if fit.problem:
        raise InputError(fit.problem)
    if fit.motion_frames != count:
        timing = even_timing(fit.motion_frames, timing.rate)
    if fit.extension and job.lips == "sound":
        timing = extended_timing(timing, fit.frames, timing.rate)
    return fit, timing

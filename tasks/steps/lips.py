"""The lips step: the motion of a clip, fitted to a sound, with lips that follow it; put into the cache."""

from __future__ import annotations

from collections.abc import Iterator

from models.motion import Motion, load_shots, save_shots
from models.voice import exchange_lips
from tasks.media.sound import mono_blocks
from tasks.steps.cached_step import Write, cached_step, read_cached
from tasks.steps.context import WorkerContext
from tasks.steps.films.sound import find_sound
from tasks.steps.fitting import fit_motion
from tasks.steps.motion import read_motion
from tasks.steps.specs import Done, LipsSpec
from troupe.errors import InputError
from troupe.faces import Floats
from troupe.stopwatch import Stopwatch

__all__ = ["move_lips", "read_lips"]


def move_lips(context: WorkerContext, spec: LipsSpec) -> Done:
    """Make the motion with lips that follow the sound, unless it is in the cache.

    Raises:
        InputError: the clip or the sound is missing or unreadable, or the two do not fit.
        WeightsError: the weights have no voice.
    """

    def compute(watch: Stopwatch) -> tuple[Write, None]:
        with watch("fetch"):
            shots = read_motion(context, spec.motion)
            sound = find_sound(context, spec.job, spec.motion.track.clip, spec.audio)
            if sound is None:
                raise InputError(f"{spec.motion.track.clip.uri} has no sound for the lips; name a file in audio")
        with watch("encode"):
            fitted = fit_motion(context, spec.motion, spec.job, shots, spec.fit_to)
            timing, audio, window = fitted.timing, sound.audio, context.animator.config.window

            def blocks() -> Iterator[Floats]:
                return mono_blocks(audio, timing.seconds)

            moved = exchange_lips(context.voice, fitted.shots, timing.times, blocks, window=window)
        return lambda file: save_shots(moved, file), None

    inputs = [spec.motion.track.clip, *([spec.audio] if spec.audio is not None else [])]
    return cached_step(context, spec.store_key, compute, *inputs)


def read_lips(context: WorkerContext, spec: LipsSpec) -> tuple[Motion, ...]:
    """Return the motion from the cache, one per shot, made again if it is damaged.

    Raises:
        StoreError: it cannot be fetched.
        InputError: it is damaged, and cannot be made again.
    """
    return read_cached(context, spec.store_key, load_shots, lambda: move_lips(context, spec))

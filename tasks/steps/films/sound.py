"""The sound of a film: which one it is, how long, how it fits the picture, and how loud it is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from catalogs.requests.access.content_hashes import Input
from catalogs.store.renders import Record
from tasks import media
from tasks.media import AudioSource, AudioStream, VideoFormat
from tasks.media.fit import Fit, decide_fit
from tasks.media.sound import Loudness, measure_sound, normalise
from tasks.steps.context import WorkerContext
from tasks.steps.specs import FilmSpec
from troupe import Job
from troupe.errors import InputError, UnreadableMedia

__all__ = ["EXTENDED_TEXT", "Sound", "find_sound", "fit_notes", "fit_picture", "loudness_facts", "prepared"]


EXTENDED_TEXT = (
    "subtitles_burn draws text into frames that fit hold and bounce show again; leave subtitles_burn empty, or use "
    "stretch or cut"
)


@dataclass(frozen=True)
class Sound:
    """The sound of a film.

    Attributes:
        audio: the part of an audio stream.
        seconds: its length, where it is a file that the job names; the sound of the driving clip is as long as that.
        notes: what was chosen among several, for the user.
    """

    audio: AudioStream
    seconds: Fraction | None
    notes: list[str]


def find_sound(context: WorkerContext, job: Job, driving: Input, file: Input | None) -> Sound | None:
    """Return the sound of the animated part of the driving clip, or of a file that the job names; None if it has none.

    Args:
        driving: the driving clip.
        file: the file that the job names.

    Raises:
        MissingInput, UnreadableMedia: the file that the job names has no sound that can be decoded.
    """
    if job.audio == "none":
        return None
    if file is None:
        clip = context.input(driving)
        audio = media.find_audio(AudioSource(clip, job.start, job.end, job.audio_track, job.video_track))
        return None if audio is None else Sound(audio, None, media.sound_notes(clip, job.audio_track))
    path = context.input(file)
    audio = media.find_audio(AudioSource(path, track=job.audio_track))
    if audio is None:
        raise UnreadableMedia(f"{job.audio} has no sound; name another file, or `none`")
    seconds, damaged = measure_sound(audio)
    notes = [f"sound: {damaged} of its packets are damaged, and not heard"] if damaged else []
    return Sound(audio, seconds, [*media.sound_notes(path, job.audio_track), *notes])


def fit_picture(spec: FilmSpec, picture: Record, sound: Sound | None) -> Fit:
    """Decide how a picture fits a sound.

    Raises:
        InputError: the job's `fit` does not allow for the two lengths.
    """
    frames, rate = picture["frames"], Fraction(*picture["fps"])
    if sound is None or sound.seconds is None:
        return Fit(frames, frames)
    seconds = Fraction(picture["seconds"]).limit_denominator(10**6)
    # The times of unevenly spaced frames end elsewhere.
    length = None if abs(seconds - frames / rate) < 1 / (2 * rate) else seconds
    # The motion of a picture that is stretched was resampled before.
    policy = {"stretch": "strict", "stretch+bounce": "bounce"}.get(spec.job.fit, spec.job.fit)
    fit = decide_fit(policy, frames, rate, sound.seconds, picture=length)
    if fit.problem:
        raise InputError(fit.problem)
    if fit.extension and spec.picture.subtitles is not None:
        raise InputError(EXTENDED_TEXT)
    return fit


def fit_notes(fit: Fit, rate: Fraction) -> list[str]:
    """Return notes for the user about what was added to the picture or cut from the sound."""
    notes = []
    if fit.extension:
        seconds = float(fit.extended_frames / rate)
        notes.append(f"picture: extended by {seconds:.2f} s to fit the sound ({fit.extension})")
    if fit.cut_seconds >= Fraction(1, 1000):
        notes.append(f"sound: its last {float(fit.cut_seconds):.3f} s were cut to fit the picture")
    return notes


def prepared(
    sound: Sound, spec: FilmSpec, seconds: float, video_format: VideoFormat, path: Path
) -> tuple[AudioStream, list[str]]:
    """Return the sound as a format can hold it, at the loudness that the job asks for, and notes.

    Args:
        seconds: length of the picture.
        path: file to write a normalised sound to.

    Raises:
        UnreadableMedia: it cannot be encoded; of layouts that every encoder accepts, muxing finds that out.
        FfmpegError: ffmpeg failed.
    """
    audio, notes = media.fit_audio(sound.audio, video_format, try_usual=False)
    if spec.job.loudness is None:
        return audio, notes
    normalised = normalise(audio, seconds, path, video_format, target=spec.job.loudness)
    return normalised.audio, [*notes, *normalised.notes]


def loudness_facts(loudness: Loudness | None) -> dict[str, Any]:
    """Return the values of a film's record, as the catalog's columns name them."""
    if loudness is None:
        return {}
    values = (loudness.integrated, loudness.range, loudness.true_peak)
    return dict(zip(("loudness_lufs", "loudness_range", "true_peak_dbtp"), values, strict=True))

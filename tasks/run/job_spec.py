"""The spec of a job: its keys, of everything that its results depend on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from catalogs.requests.access.content_hashes import Input
from catalogs.store.keys import encode_parts, join_parts, key_of, make_key
from catalogs.store.uris import name
from tasks import media
from tasks.media.fit import Fit, decide_fit
from tasks.media.label import label_text
from tasks.run.inputs.clip_lengths import Length, frames_between
from tasks.run.inputs.model import HashedModel
from tasks.run.inputs.traits import Role, Traits
from tasks.steps.films.sound import EXTENDED_TEXT
from tasks.steps.specs import FilmSpec, LipsSpec, MotionSpec, PictureSpec, PortraitSpec, TrackSpec
from troupe import Job, SamplerSettings, preset
from troupe.errors import InputError, UnreadableMedia
from troupe.job import fitted_size

__all__ = ["JobTraits", "SpecMaker", "misfit", "roles_of", "track_error", "uris_of"]

VERSIONS = {"appearance": 1, "track": 2, "motion": 2, "picture": 1, "render": 2, "label": 1, "watermark": 1, "lips": 1}
"""Step versions; raised when a step's result changes for the same inputs, so that old results are not reused."""
_UNKNOWN_LENGTH: Length = (250, 25.0)
"""Frames and rate that are assumed for a clip whose headers have none."""
_RENDER_VERSION, _PICTURE_VERSION = (encode_parts({"version": VERSIONS[kind]}) for kind in ("render", "picture"))


@dataclass(frozen=True, slots=True)
class JobTraits:
    """Traits of a job's inputs, as far as they change what its steps compute, and the tracks to choose from.

    Attributes:
        length: length of the whole clip; None if its headers have none.
    """

    length: Length | None
    portrait: Traits
    clip: Traits
    sound: Traits
    clip_tracks: Traits
    sound_tracks: Traits


def roles_of(job: Job) -> list[tuple[Role, str]]:
    """Return the roles and URIs of a job's portrait, clip, and file of sound, in the order of `JobTraits`."""
    sound = _sound(job)
    return [
        *(("picture", job.portrait), ("clip", job.driving), ("sound", sound) if sound else ("clip", job.driving)),
        *(("tracks", job.driving), ("tracks", sound or job.driving)),
    ]


def _sound(job: Job) -> str:
    return job.audio if job.audio not in ("driving", "none") else ""


def uris_of(job: Job) -> list[str]:
    return [
        job.portrait,
        job.driving,
        *([job.tracks] if job.tracks else []),
        *([sound] if (sound := _sound(job)) else []),
        *([job.subtitles] if job.subtitles else []),
    ]


class SpecMaker:
    """Makes the specs of a run's jobs; parts that many jobs have in common are made once.

    Args:
        run_id: name of the run.
        inputs: the jobs' inputs with their hashes, by URI.
        model: hashes of the model.
        signer: key of the signer of the films' files; empty for none.
        watermark: id of the key of watermarks; empty for none.
    """

    def __init__(
        self, run_id: str, inputs: Mapping[str, Input], model: HashedModel, signer: str = "", watermark: str = ""
    ) -> None:
        self._run_id, self._inputs, self._model = run_id, inputs, model
        self._signer, self._watermark = signer, watermark
        self._shared: dict[Any, Any] = {}  # takes most of the time and of the memory

    def make(self, job: Job, traits: JobTraits) -> FilmSpec:
        """Return the spec of a job whose inputs all have a hash."""
        settings: SamplerSettings = self._once(
            ("settings", job.preset, job.seed), lambda: replace(preset(job.preset), seed=job.seed)
        )
        portrait: PortraitSpec = self._once(
            ("portrait", job.portrait, job.face.text),
            lambda: self._portrait(job, traits),
        )
        part = ("track", job.driving, job.start, job.end, job.fps, job.video_track, job.gaps, job.tracks)
        motion: MotionSpec = self._once(
            (*part, job.driving_face.text, job.crop),
            lambda: self._motion(job, traits),
        )
        audio = self._inputs[sound] if (sound := _sound(job)) else None
        fit_to = _sound_seconds(job, traits) if job.fit in _fits_of_motion(job) else None
        lips: LipsSpec | None = None
        if job.lips == "sound":
            lips = self._lips(job, motion, audio, fit_to, traits)
            lips = self._shared.setdefault(("lips", lips.key), lips)
        seen = {
            "appearance": portrait.key,
            "motion": motion.key if lips is None else lips.key,
            "dtype": self._model.dtype,
            "output": job.output,
            "blend": job.blend,
            "quality": job.quality,
            "master": job.master,
            **_size_part(job, traits.portrait),
        }
        if settings.distilled:
            seen["distilled"] = self._model.distilled
        if fit_to is not None and lips is None:
            seen["stretch"] = [*fit_to.as_integer_ratio(), job.fit, job.stretch_limit]
        subtitles = self._inputs[job.subtitles] if job.subtitles else None
        drawn, track_of_text = (subtitles, None) if job.subtitles_burn else (None, subtitles)
        if drawn is not None:
            seen["subtitles"] = [drawn.sha256, job.subtitles_language or job.language]
        heard = {"audio": audio.sha256 if audio is not None else job.audio, "language": job.language}
        heard |= _sound_part(job, traits) | _fit_part(job) | ({"signer": self._signer} if self._signer else {})
        if track_of_text is not None:
            heard |= {"subtitles": track_of_text.sha256, "subtitles_language": job.subtitles_language}
        label, watermark = label_text(job.label, job.language), "" if job.watermark == "off" else self._watermark
        if label:
            seen["label"] = [VERSIONS["label"], label]

        seen_parts, heard_parts = encode_parts(seen), encode_parts(heard)
        sampler = self._once(("sampler", job.preset), lambda: encode_parts(settings.values))
        seen_parts["settings"] = join_parts(sampler | encode_parts({"seed": job.seed}))

        def keys(marked: dict[str, str]) -> tuple[str, str]:
            # The film's is named after the render that earlier versions made at once, so that theirs are reused.
            film = key_of("render", _RENDER_VERSION | seen_parts | heard_parts | marked)
            return film, key_of("picture", _PICTURE_VERSION | seen_parts | marked)

        film_key, picture_key = keys(
            encode_parts({"watermark": [VERSIONS["watermark"], watermark]} if watermark else {})
        )
        picture = self._shared.setdefault(
            picture_key,
            PictureSpec(
                picture_key, self._run_id, job, portrait, motion, settings, fit_to, drawn, label, watermark, lips
            ),
        )
        # Earlier versions neither drew labels, nor signed, nor moved lips by sound.
        reusable = watermark and job.watermark == "on" and not label and not self._signer and lips is None
        earlier = keys({}) if reusable else None
        return FilmSpec(
            film_key, self._run_id, job, picture, audio, track_of_text, self._signer, self._model.weights, earlier
        )

    def _once(self, names: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if names not in self._shared:
            self._shared[names] = make()
        return self._shared[names]

    def _portrait(self, job: Job, traits: JobTraits) -> PortraitSpec:
        return PortraitSpec(
            key=make_key(
                "appearance",
                version=VERSIONS["appearance"],
                portrait=self._inputs[job.portrait].sha256,
                face=job.face.text,
                detector=self._model.face_networks["detector"],
                weights=self._model.weights,
                **_some(traits.portrait, "colour"),
            ),
            picture=self._inputs[job.portrait],
            face=job.face,
        )

    def _motion(self, job: Job, traits: JobTraits) -> MotionSpec:
        seen_by = (
            {"tracks": self._inputs[job.tracks].sha256}
            if job.tracks
            else {**self._model.face_networks, "face": job.driving_face.text}
        )
        part = {"clip": self._inputs[job.driving].sha256, "start": job.start, "end": job.end, "fps": str(job.fps or "")}
        part |= _some(traits.clip, "video", "interlaced", "colour")
        part |= {"video": job.video_track} if job.video_track else {}
        track = TrackSpec(
            key=make_key("track", version=VERSIONS["track"], **part, gaps=job.gaps, **seen_by),
            clip=self._inputs[job.driving],
            start=job.start,
            end=job.end,
            fps=job.fps,
            face=job.driving_face,
            gaps=job.gaps,
            tracks=self._inputs.get(job.tracks),
            frames=frames_between(traits.length or _UNKNOWN_LENGTH, job.start, job.end),
            video_track=job.video_track,
        )
        return MotionSpec(
            key=make_key(
                "motion",
                version=VERSIONS["motion"],
                **part,
                track=track.key,
                crop=job.crop,
                weights=self._model.weights,
            ),
            track=track,
            crop=job.crop,
        )

    def _lips(
        self, job: Job, motion: MotionSpec, audio: Input | None, fit_to: Fraction | None, traits: JobTraits
    ) -> LipsSpec:
        frames, fitted = motion.track.frames, {}
        if fit_to is not None:
            frames = _fit(job, traits.length or _UNKNOWN_LENGTH, fit_to).frames
            fitted = {"fit": [*fit_to.as_integer_ratio(), job.fit, job.stretch_limit]}
        key = make_key(
            "lips",
            version=VERSIONS["lips"],
            motion=motion.key,
            sound=audio.sha256 if audio is not None else job.audio,
            voice=self._model.voice,
            **_sound_part(job, traits),
            **fitted,
        )
        return LipsSpec(key, job, motion, audio, fit_to, frames)


def _fits_of_motion(job: Job) -> tuple[str, ...]:
    """Return the values of `fit` that change the motion: with lips by sound, frames that are added speak as well."""
    return ("stretch", "stretch+bounce", *(("hold", "bounce") if job.lips == "sound" else ()))


def _fit(job: Job, length: Length, sound: Fraction) -> Fit:
    """Decide how a clip of this length fits a sound."""
    frames, rate = frames_between(length, job.start, job.end), Fraction(length[1]).limit_denominator(1001)
    if job.fps is not None:
        frames, rate = max(1, round(frames * job.fps / rate)), job.fps
    return decide_fit(job.fit, frames, rate, sound, stretch_limit=job.stretch_limit)


def _sound_part(job: Job, traits: JobTraits) -> dict[str, Any]:
    """Return the track of the sound, unless it is the first one, which earlier versions used."""
    if job.audio == "none":
        return {}
    track = job.audio_track or traits.sound.get("audio", "")
    return {"audio_track": track} if track else {}


def _sound_seconds(job: Job, traits: JobTraits) -> Fraction | None:
    """Return the length of the file that the job names as its sound, where it is known."""
    found = traits.sound.get("seconds", {}).get(job.audio_track) if _sound(job) else None
    return None if found is None else Fraction(*found)


def track_error(job: Job, traits: JobTraits) -> InputError | None:
    """Return why a track that the job uses does not exist or cannot be encoded."""
    if error := media.track_error(traits.clip_tracks, "video", job.video_track, name(job.driving)):
        return error
    if job.audio == "none":
        return None
    if job.lips == "sound" and traits.sound_tracks.get("audio") == []:
        return InputError(f"{name(_sound(job) or job.driving)} has no sound for the lips; name a file in audio")
    return media.track_error(
        traits.sound_tracks, "audio", job.audio_track, name(_sound(job) or job.driving), job.master
    )


def misfit(job: Job, traits: JobTraits) -> InputError | None:
    """Return why the job's sound does not fit its clip, as far as both lengths are known."""
    if traits.sound.get("seconds") == {}:
        return UnreadableMedia(f"{job.audio} has no sound; name another file, or `none`")
    sound = _sound_seconds(job, traits)
    if _sound(job) and sound is None and job.fit in _fits_of_motion(job):
        return InputError(f"fit {job.fit} needs the length of the sound before the run: choose its track by index:N")
    if sound is None or traits.length is None:
        return None
    fit = _fit(job, traits.length, sound)
    # With lips by sound, frames that are added are rendered, and text is drawn into them too.
    repeated = fit.extension and job.lips != "sound"
    problem = fit.problem or (EXTENDED_TEXT if job.subtitles_burn and repeated else "")
    return InputError(problem) if problem else None


def _fit_part(job: Job) -> dict[str, Any]:
    """Return how the sound is fitted and normalised, where it is: other films keep the key that they had."""
    part: dict[str, Any] = {}
    if _sound(job) and job.fit not in ("strict", "cut", "stretch"):
        part["fit"] = job.fit
    if job.audio != "none" and job.loudness is not None:
        part["loudness"] = job.loudness
    return part


def _size_part(job: Job, portrait: Traits) -> dict[str, Any]:
    """Return the size that the portrait is scaled down to, if it is: other renders keep the key that they had."""
    if job.output == "crop" or "width" not in portrait:
        return {}
    source = portrait["width"], portrait["height"]
    size = fitted_size(job.size, *source)
    return {"size": size} if size != source else {}


def _some(traits: Traits, *names: str) -> dict[str, Any]:
    return {name: traits[name] for name in names if name in traits}

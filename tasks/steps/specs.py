"""Specs of the steps and their results: small values that travel between processes.

A spec's `key` is a hash of everything its result depends on; a result that is in the store under that key is reused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from catalogs.requests.access.content_hashes import Input
from catalogs.store.renders import PICTURES
from troupe import FaceChoice, Job, SamplerSettings

__all__ = [
    "Done",
    "FilmDone",
    "FilmSpec",
    "LipsSpec",
    "MotionSpec",
    "PictureDone",
    "PictureSpec",
    "PortraitSpec",
    "TrackSpec",
]


@dataclass(frozen=True, slots=True)
class PortraitSpec:
    """Spec of a portrait's appearance: the identity of one face in a picture, encoded."""

    key: str
    picture: Input
    face: FaceChoice

    @property
    def store_key(self) -> str:
        """Key of the encoded appearance in the store."""
        return f"cache/appearance/{self.key}.safetensors"


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """Spec of a track: one face in a part of a clip, detected or read from the ready-made track at `tracks`.

    Attributes:
        gaps, video_track: as a job has them.
        frames: estimated number of frames; for scheduling, not part of the key.
    """

    key: str
    clip: Input
    start: float
    end: float | None
    face: FaceChoice
    tracks: Input | None = None
    fps: Fraction | None = None
    gaps: str = "hold"
    frames: int = 250
    video_track: str = ""

    @property
    def store_key(self) -> str:
        """Key of the track in the store."""
        return f"cache/tracks/{self.key}.parquet"


@dataclass(frozen=True, slots=True)
class MotionSpec:
    """Spec of the motion in the tracked part of a clip; `crop` as a job has it."""

    key: str
    track: TrackSpec
    crop: str = "first"

    @property
    def store_key(self) -> str:
        """Key of the encoded motion in the store."""
        return f"cache/motion/{self.key}.safetensors"


@dataclass(frozen=True, slots=True)
class LipsSpec:
    """Spec of a motion whose lips follow a sound, at the length of the sound as far as the job fits them.

    Attributes:
        audio: the file that the job names as its sound; None for the clip's own.
        frames: estimated number of frames; for scheduling, not part of the key.
    """

    key: str
    job: Job
    motion: MotionSpec
    audio: Input | None = None
    fit_to: Fraction | None = None
    frames: int = 250

    @property
    def store_key(self) -> str:
        """Key of the motion in the store."""
        return f"cache/motion/{self.key}.safetensors"


@dataclass(frozen=True, slots=True)
class PictureSpec:
    """Spec of a picture: a portrait acts a clip, in videos without sound. Films in many languages share one picture.

    Attributes:
        run_id, job: the run and the first of its jobs that need the picture.
        fit_to: length of the sound, in seconds, that the motion is fitted to; None leaves it as it is.
        subtitles: the file that is drawn into the picture, if one is.
        label: text in the upper right corner of every frame, in the language of the job; empty for none.
        watermark: id of the key of the watermark; empty for none. The payload is the start of the picture's key.
        lips: spec of the motion with lips that follow a sound; None for those of the driving clip.
    """

    key: str
    run_id: str
    job: Job
    portrait: PortraitSpec
    motion: MotionSpec
    settings: SamplerSettings
    fit_to: Fraction | None = None
    subtitles: Input | None = None
    label: str = ""
    watermark: str = ""
    lips: LipsSpec | None = None

    @property
    def frames(self) -> int:
        """Estimated number of frames."""
        return self.motion.track.frames if self.lips is None else self.lips.frames

    @property
    def folder(self) -> str:
        """Folder of the files in the store."""
        return f"{PICTURES}/{self.key}"


@dataclass(frozen=True, slots=True)
class FilmSpec:
    """Spec of a film, what a job is for: a picture, copied bit by bit, with a sound.

    Attributes:
        audio: the file that the job names as its sound, if it names one.
        subtitles: the file that it names as its subtitles, unless they are drawn into the picture.
        signer: key of the signer of its files; empty for none.
        weights: fingerprint of the model, for the files' Content Credentials; not part of the key.
        unmarked: keys that the film and its picture had before there were watermarks, if such a film may be reused.
    """

    key: str
    run_id: str
    job: Job
    picture: PictureSpec
    audio: Input | None = None
    subtitles: Input | None = None
    signer: str = ""
    weights: str = ""
    unmarked: tuple[str, str] | None = None

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The user's files that the film is made of, beside its picture."""
        named = (self.picture.motion.track.clip, self.audio, self.subtitles)
        return tuple(source for source in named if source is not None)

    @property
    def folder(self) -> str:
        """Folder of the finished files in the store."""
        return f"renders/{self.key}"


@dataclass(frozen=True, slots=True)
class Done:
    """Result of a step.

    Attributes:
        reused: whether the result was in the store already.
        seconds: seconds by stage.
        puts: number of files put into the store.
        notes: what was damaged in the store and is made again, in words.
    """

    reused: bool
    seconds: Mapping[str, float] = field(default_factory=dict)
    puts: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PictureDone(Done):
    """Result of rendering a picture.

    Attributes:
        frames: number of frames rendered.
        evaluations: number of frames that went through the denoiser, once per branch and step.
    """

    frames: int = 0
    evaluations: int = 0


@dataclass(frozen=True, slots=True)
class FilmDone(Done):
    """Result of making a film.

    Attributes:
        facts: content of its `render.json`.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)

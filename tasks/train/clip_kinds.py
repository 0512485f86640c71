"""What is encoded of a training clip: for the denoiser, for the voice, or for the distilled denoiser."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.animator import Animator
from models.training.clip_file import encode_clip
from models.training.distillation.trajectory_file import record_scene, record_synthetic
from models.training.synthetic_clips import synthetic_clip
from models.training.voice.clip_file import SpokenClip, write_voice_clip
from models.training.voice.world import write_synthetic_clip
from models.voice.log_mel import MEL_RATE, spectra_of
from tasks import media
from tasks.media import AudioSource
from tasks.media.sound import mono_blocks
from tasks.train.config import ClipsConfig
from troupe import Picture, Track
from troupe.errors import InputError

__all__ = ["CLIP_KINDS", "DENOISER_CLIPS", "TRAJECTORIES", "VOICE_CLIPS", "ClipKind", "Scene"]


@dataclass(frozen=True)
class Scene:
    """A part of a user's clip that shows a face without a cut.

    Attributes:
        clip: local path of the clip.
        start, end: part of the clip that is used, in seconds.
        first: first frame of the scene in that part.
        frames: (H, W, 3) each, as many as the track has; taken once.
        track: track of the face.
    """

    clip: Path
    start: float
    end: float | None
    first: int
    frames: Iterable[Picture]
    track: Track


@dataclass(frozen=True)
class ClipKind:
    """How the clips of a part are encoded.

    Attributes:
        name: name and version of the files, which is part of their keys.
        encoders: prefixes of the files in the weights directory that encode the clips.
        write_synthetic: writes a synthetic clip: animator, configuration, number, whether it is held out, path.
        write_scene: writes a user's scene: animator, configuration, scene, path.
        dtype: number type of the animator.

    Raises, from either:
        InputError: the scene cannot be used.
    """

    name: str
    encoders: tuple[str, ...]
    write_synthetic: Callable[[Animator, ClipsConfig, int, bool, Path], None]
    write_scene: Callable[[Animator, ClipsConfig, Scene, Path], None]
    dtype: str = "float32"


def _write_synthetic(animator: Animator, clips: ClipsConfig, number: int, held_out: bool, path: Path) -> None:
    clip = synthetic_clip(number, clips.frames, clips.cast, held_out=held_out)
    encode_clip(animator, clip.frames, clip.track, clips.sittings, path)


def _write_scene(animator: Animator, clips: ClipsConfig, scene: Scene, path: Path) -> None:
    encode_clip(animator, scene.frames, scene.track, clips.sittings, path)


def _write_synthetic_voice(animator: Animator, clips: ClipsConfig, number: int, held_out: bool, path: Path) -> None:
    def encode(frames: Sequence[Picture], track: Track) -> Tensor:
        return animator.encode_motion(frames, track).expression

    write_synthetic_clip(path, number, clips.frames, clips.cast, encode, held_out=held_out)


def _write_spoken_scene(animator: Animator, _: ClipsConfig, scene: Scene, path: Path) -> None:
    sound = media.find_audio(AudioSource(scene.clip, scene.start, scene.end))
    if sound is None:
        raise InputError("the clip has no sound")
    timing = media.timing_of(scene.clip, scene.start, scene.end)
    driver = animator.encode_motion(scene.frames, scene.track).expression
    times = torch.from_numpy(timing.times[scene.first : scene.first + len(driver)])
    # From the spectrum before the first frame to the one after the last.
    first, last = int(times[0] * MEL_RATE), int(times[-1] * MEL_RATE) + 2
    spectra = torch.cat(list(spectra_of(mono_blocks(sound, timing.seconds))))[first:last]
    if not len(spectra):
        raise InputError("the sound ends before the scene")
    write_voice_clip(path, times - first / MEL_RATE, driver, [SpokenClip(spectra, driver)])


def _record_synthetic(animator: Animator, _: ClipsConfig, number: int, held_out: bool, path: Path) -> None:
    record_synthetic(animator, number, path, held_out=held_out)


def _record_scene(animator: Animator, _: ClipsConfig, scene: Scene, path: Path) -> None:
    record_scene(animator, scene.frames, scene.track, scene.first, path)


_ALL_ENCODERS = ("troupe.json", "vae", "hyportrait/expression", "hyportrait/headpose", "arcface.onnx")

DENOISER_CLIPS = ClipKind("training clip 2", _ALL_ENCODERS, _write_synthetic, _write_scene)
VOICE_CLIPS = ClipKind(
    "voice clip 1", ("troupe.json", "hyportrait/expression"), _write_synthetic_voice, _write_spoken_scene
)
# The guided sampler takes as long as a render, in the number type of one.
TRAJECTORIES = ClipKind(
    "trajectory 1",
    ("troupe.json", "vae", "unet", "scheduler", "hyportrait", "arcface.onnx"),
    _record_synthetic,
    _record_scene,
    "auto",
)

CLIP_KINDS: Mapping[str, ClipKind] = {"voice": VOICE_CLIPS, "fast": TRAJECTORIES}
"""By part; `DENOISER_CLIPS` for the others."""

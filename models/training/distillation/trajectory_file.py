"""Recorded trajectories of the guided sampler, from which a distilled denoiser learns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from models.animator import Animator
from models.appearance import Appearance
from models.faces import head_box
from models.faces.portrait import build_portrait
from models.miniature import PORTRAIT_SIZE, render
from models.motion import Motion
from models.sampler.schedule import distilled_numbers
from models.tensorfile import read_tensors, write_tensors
from models.training.sampling import sample_identity, sample_moment
from models.training.synthetic_clips import synthetic_clip
from troupe import PRESETS, Face, Picture, SamplerSettings, Track
from troupe.errors import InputError, SettingsError

__all__ = ["TEACHER", "read_trajectory", "record_scene", "record_synthetic"]

VERSION = "troupe trajectory 1"
NAMES = ("appearance", "motion", "portrait", "states")

TEACHER = SamplerSettings(guidance_every=2, deep_every=2, overlap=0, shift=0, padding=0)
"""The released settings for a single window, with savings that are 50 dB from them on the miniature."""
FADED = 0.25
"""Share of the windows that may lie in the padding of their clip, where the motion fades."""


def record_scene(animator: Animator, frames: Iterable[Picture], track: Track, seed: int, path: Path) -> None:
    """Record a window of a scene; the frame in the middle of the scene is the portrait.

    Raises:
        InputError: the scene is shorter than a window, or the face is outside of its frame.
    """
    if len(track) < animator.config.window:
        raise InputError(f"the scene has {len(track)} frames, fewer than a window of {animator.config.window}")
    shown: list[Appearance] = []

    def seen() -> Iterator[Picture]:
        for number, frame in enumerate(frames):
            if number == len(track) // 2:
                shown.append(_encode_portrait(animator, frame, track.face(number)))
            yield frame

    motion = animator.encode_motion(seen(), track)
    _record(animator, shown[0], motion, np.random.default_rng(seed), path)


def record_synthetic(animator: Animator, number: int, path: Path, *, held_out: bool) -> None:
    """Record a window of a drawn performance by a portrait of another drawn person."""
    rng = np.random.default_rng((number, 0xFA57, held_out))
    picture, face = render(sample_identity(rng, held_out), sample_moment(rng, held_out), PORTRAIT_SIZE)
    clip = synthetic_clip(number, animator.config.window, 1, held_out=held_out)
    motion = animator.encode_motion(clip.frames, clip.track)
    _record(animator, _encode_portrait(animator, picture, face), motion, rng, path)


def read_trajectory(path: Path) -> dict[str, Tensor]:
    """Read a recorded trajectory.

    Returns:
        `appearance` (A, D) and `motion` (W, M, D), tokens; `portrait` (4, h, w), unscaled latents; `states`
        (steps + 1, W, 4, h, w), latents at the levels of the distilled denoiser, and denoised.

    Raises:
        SettingsError: the file is damaged or is none.
    """
    try:
        return dict(zip(NAMES, read_tensors(path, VERSION, *NAMES), strict=True))
    except (ValueError, SafetensorError, OSError) as error:
        raise SettingsError(f"{path} cannot be read as a recorded trajectory: {error}; delete it") from error


def _encode_portrait(animator: Animator, picture: Picture, face: Face) -> Appearance:
    height, width = picture.shape[:2]
    box = head_box(face.box, width, height)
    return animator.encode_appearance(build_portrait(picture, face, box, animator.config.image_size))


def _record(animator: Animator, appearance: Appearance, motion: Motion, rng: np.random.Generator, path: Path) -> None:
    window, padding = animator.config.window, SamplerSettings().padding
    tokens = animator.motion_tokens(motion, padding)
    first, last = (0, len(tokens) - window) if rng.random() < FADED else (padding, len(tokens) - padding - window)
    first = int(rng.integers(first, last + 1))
    tokens = tokens[first : first + window]
    kept, states = distilled_numbers(PRESETS["fast"].steps), list[Tensor]()

    def keep(number: int, latents: Tensor) -> None:
        if number in kept:
            states.append(latents.clone())

    settings = replace(TEACHER, seed=int(rng.integers(2**31)))
    states.append(animator.sample(appearance, tokens, settings, on_step=keep).latents)
    values = (appearance.tokens, tokens, appearance.latents, torch.stack(states))
    write_tensors(path, VERSION, dict(zip(NAMES, values, strict=True)))

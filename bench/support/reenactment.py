"""Reenactment with known ground truth: drawn clips and portraits encoded once, and animation with a part disabled."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from bench.support.judge import SIDE, TRAITS, Judge, true_traits
from models.animator import Animator
from models.appearance import Appearance
from models.faces import FaceDetector, Portrait, crop_head, head_box, prepare_portrait, reference_boxes, track_face
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, PORTRAIT_SIZE, Identity, Performance, render
from models.motion import Motion
from models.training.sampling import sample_moment, swap_outfit
from troupe import LARGEST, Floats, Picture, SamplerSettings, Track

__all__ = [
    "ABLATIONS",
    "FIXED_INTENSITY",
    "FRAME_RATE",
    "NO_ADAPTERS",
    "NO_BANK",
    "NO_MOTION",
    "EncodedClip",
    "EncodedPortrait",
    "animate",
    "contact_sheet",
    "encode_clip",
    "encode_gallery",
    "encode_stranger",
]

FRAME_RATE, CANDIDATES = 25, 100
"""Frames per second of the clips; number of people in the gallery."""
STRANGERS = FIRST_HELD_OUT_SEED + 100
"""Seed of the first candidate. The people who act others' clips are the first candidates."""

NO_BANK = "memory bank zeroed"
FIXED_INTENSITY = "intensity fixed"
NO_ADAPTERS = "IMAdapter off"
NO_MOTION = "motion off"
ABLATIONS = (NO_BANK, FIXED_INTENSITY, NO_ADAPTERS, NO_MOTION)
MEAN_INTENSITY = (22, 16)
"""Mean intensity of head and expression in the drawn world, to which `FIXED_INTENSITY` sets it."""
SHEET_FRAMES = 7


@dataclass(frozen=True, eq=False)
class EncodedClip:
    """A drawn performance with its ground truth.

    Attributes:
        traits: name -> (F,), what the driver truly does.
        heads: (F, S, S, 3), the head crops.
        motion: the clip as the model encodes it.
        track: its face, as the model's detector finds it.
    """

    traits: Mapping[str, Floats]
    heads: Picture
    motion: Motion
    track: Track


@dataclass(frozen=True, eq=False)
class EncodedPortrait:
    """A portrait, and its appearance as the model encodes it."""

    portrait: Portrait
    appearance: Appearance


def encode_clip(
    number: int, frames: int, animator: Animator, detector: FaceDetector
) -> tuple[EncodedClip, EncodedPortrait]:
    """Draw and encode a clip, and its first frame as a portrait."""
    person = Identity.from_seed(FIRST_HELD_OUT_SEED + number)
    moments = Performance.from_seed(FIRST_HELD_OUT_SEED + number, frames, FRAME_RATE).moments
    pictures = [render(person, moment, CLIP_SIZE)[0] for moment in moments]
    track = track_face(pictures, detector, LARGEST, f"clip {number}")
    box = head_box(reference_boxes(track, "first")[0], *CLIP_SIZE)
    heads = np.stack([crop_head(picture, box, SIDE) for picture in pictures])
    traits = {name: np.array([true_traits(moment)[name] for moment in moments], np.float32) for name in TRAITS}
    clip = EncodedClip(traits, heads, animator.encode_motion(pictures, track), track)
    return clip, _encode_portrait(pictures[0], number, animator, detector)


def encode_stranger(number: int, animator: Animator, detector: FaceDetector) -> EncodedPortrait:
    """Draw and encode the portrait that acts the clip of this number in cross-reenactment."""
    moment = sample_moment(np.random.default_rng((number, 0x57A)), held_out=True)
    picture, _ = render(Identity.from_seed(STRANGERS + number), moment, PORTRAIT_SIZE)
    return _encode_portrait(picture, number, animator, detector)


def _encode_portrait(picture: Picture, number: int, animator: Animator, detector: FaceDetector) -> EncodedPortrait:
    portrait = prepare_portrait(picture, detector, LARGEST, SIDE, f"portrait {number}")
    return EncodedPortrait(portrait, animator.encode_appearance(portrait))


def encode_gallery(judge: Judge, moved: bool) -> Floats:
    """Return (candidates, length): the judge's embedding of one picture per candidate.

    Args:
        moved: whether they wear others' clothes before others' walls.
    """
    heads, rng = [], np.random.default_rng(0x6A1)
    for seed in range(STRANGERS, STRANGERS + CANDIDATES):
        person = Identity.from_seed(seed)
        person = swap_outfit(person, Identity.from_seed(seed + 500)) if moved else person
        picture, face = render(person, sample_moment(rng, held_out=True), CLIP_SIZE)
        heads.append(crop_head(picture, head_box(face.box, *CLIP_SIZE), SIDE))
    return judge.identify(np.stack(heads))


def animate(
    animator: Animator, subject: EncodedPortrait, clip: EncodedClip, settings: SamplerSettings, ablation: str = ""
) -> tuple[Picture, float]:
    """Return the frames (F, S, S, 3) and the seconds they took.

    Args:
        ablation: one of `ABLATIONS`, the part of the model that is disabled; none if empty.
    """
    appearance, motion = subject.appearance, clip.motion
    if ablation == FIXED_INTENSITY:
        motion = replace(motion, intensity=torch.tensor(MEAN_INTENSITY).repeat(len(motion.intensity), 1))
    if ablation == NO_MOTION:
        settings = replace(settings, motion_guidance=(0.0, 0.0))
    with _disabled(animator, ablation):
        if ablation == NO_ADAPTERS:
            appearance = animator.encode_appearance(subject.portrait)
        started = time.perf_counter()
        frames = np.stack(list(animator.animate(appearance, motion, settings)))
        return frames, time.perf_counter() - started


@contextmanager
def _disabled(animator: Animator, ablation: str) -> Iterator[None]:
    """Disable the animator's memory bank or its adapters within the context."""
    networks = animator._networks  # only benchmarks need to reach into them
    bank, blocks = networks.refiner.connector, list[Any](networks.transformer.blocks)
    latents, adapters = bank.latents, [block.adapter for block in blocks]
    if ablation == NO_BANK:
        bank.latents = torch.nn.Parameter(torch.zeros_like(latents), requires_grad=False)
    for block in blocks if ablation == NO_ADAPTERS else ():
        block.adapter = None
    try:
        yield
    finally:
        bank.latents = latents
        for block, adapter in zip(blocks, adapters, strict=True):
            block.adapter = adapter


def contact_sheet(subject: EncodedPortrait, clip: EncodedClip, output: Picture) -> Picture:
    """Return the portrait beside some frames of the clip, above the same frames of the output."""
    shown = np.unique(np.linspace(0, len(output) - 1, SHEET_FRAMES).round().astype(int))
    crop = subject.portrait.crop
    rows = [crop, *clip.heads[shown]], [np.full_like(crop, 255), *output[shown]]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])

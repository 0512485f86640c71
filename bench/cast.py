"""Clips and portraits of the miniature's world for `bench.miniature`, encoded once, and whom an output may show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bench.witness import SIDE, TOLD, Witness, told
from models.animator import Animator
from models.appearance import Appearance
from models.faces import FaceDetector, Portrait, crop_head, head_box, prepare_portrait, reference_boxes, track_face
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, PORTRAIT_SIZE, Identity, Performance, render
from models.motion import Motion
from models.training.sampling import sample_moment, swap_outfit
from troupe import LARGEST, Floats, Picture

__all__ = ["Clip", "Sitter", "clip", "gallery", "stranger"]

RATE, CANDIDATES = 25, 100
STRANGERS = FIRST_HELD_OUT_SEED + 100
"""The first of the candidates; those who act others' clips are the first of them."""


@dataclass(frozen=True, eq=False)
class Clip:
    """A performance, encoded.

    Attributes:
        said: name -> (F,), what the driver truly does.
        heads: (F, S, S, 3), the head crops.
        motion: what the model makes of it.
    """

    said: Mapping[str, Floats]
    heads: Picture
    motion: Motion


@dataclass(frozen=True, eq=False)
class Sitter:
    """A portrait, and what the model makes of it."""

    portrait: Portrait
    appearance: Appearance


def clip(number: int, frames: int, animator: Animator, detector: FaceDetector) -> tuple[Clip, Sitter]:
    """The clip of that number, and its first frame as a portrait."""
    person = Identity.from_seed(FIRST_HELD_OUT_SEED + number)
    moments = Performance.from_seed(FIRST_HELD_OUT_SEED + number, frames, RATE).moments
    pictures = [render(person, each, CLIP_SIZE)[0] for each in moments]
    track = track_face(pictures, detector, LARGEST, f"clip {number}")
    box = head_box(reference_boxes(track, "first")[0], *CLIP_SIZE)
    heads = np.stack([crop_head(picture, box, SIDE) for picture in pictures])
    said = {name: np.array([told(each)[name] for each in moments], np.float32) for name in TOLD}
    return Clip(said, heads, animator.encode_motion(pictures, track)), _sitter(pictures[0], number, animator, detector)


def stranger(number: int, animator: Animator, detector: FaceDetector) -> Sitter:
    """Who acts the clip of that number."""
    moment = sample_moment(np.random.default_rng((number, 0x57A)), measuring=True)
    picture, _ = render(Identity.from_seed(STRANGERS + number), moment, PORTRAIT_SIZE)
    return _sitter(picture, number, animator, detector)


def _sitter(picture: Picture, number: int, animator: Animator, detector: FaceDetector) -> Sitter:
    portrait = prepare_portrait(picture, detector, LARGEST, SIDE, f"portrait {number}")
    return Sitter(portrait, animator.encode_appearance(portrait))


def gallery(witness: Witness, moved: bool) -> Floats:
    """(candidates, length): a picture of each in a performance of its own, as they are or in others' clothes."""
    heads, rng = [], np.random.default_rng(0x6A1)
    for seed in range(STRANGERS, STRANGERS + CANDIDATES):
        person = Identity.from_seed(seed)
        person = swap_outfit(person, Identity.from_seed(seed + 500)) if moved else person
        picture, face = render(person, sample_moment(rng, measuring=True), CLIP_SIZE)
        heads.append(crop_head(picture, head_box(face.box, *CLIP_SIZE), SIDE))
    return witness.identify(np.stack(heads))

"""The appearance step: fetch a portrait, find and crop its face, encode it, put it into the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from models.appearance import Appearance
from models.faces import Box, prepare_portrait
from models.tensorfile import read_tensors, write_tensors
from tasks.media import read_picture
from tasks.steps.cached_step import Write, cached_step, read_cached
from tasks.steps.context import WorkerContext
from tasks.steps.specs import Done, PortraitSpec
from troupe import Picture
from troupe.faces import Floats
from troupe.stopwatch import Stopwatch

__all__ = ["EncodedPortrait", "encode_portrait", "read_encoded_portrait"]

VERSION = "troupe cast member 1"

FaceBox = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class EncodedPortrait:
    """A portrait, encoded for rendering.

    Attributes:
        appearance: encoded identity.
        crop_box: x1, y1, x2, y2 of the animated square in the portrait, in pixels.
        face_box: x1, y1, x2, y2 of the face in the portrait, in pixels.
    """

    appearance: Appearance
    crop_box: Box
    face_box: FaceBox


def encode_portrait(context: WorkerContext, spec: PortraitSpec) -> Done:
    """Encode a portrait into the cache, unless it is there.

    Raises:
        InputError: the picture is missing, unreadable or shows no face.
    """

    def compute(watch: Stopwatch) -> tuple[Write, Picture]:
        with watch("fetch"):
            path = context.input(spec.picture)
        with watch("decode"):
            picture = read_picture(path)
        with watch("detect"), context.detecting() as detector:
            portrait = prepare_portrait(
                picture, detector, spec.face, context.animator.config.image_size, spec.picture.uri
            )
        with watch("encode"):
            appearance = context.animator.encode_appearance(portrait)
        encoded = EncodedPortrait(appearance, portrait.box, _face_box(portrait.face.box))
        return lambda file: _write(encoded, file), portrait.crop

    return cached_step(context, spec.store_key, compute, spec.picture)


def read_encoded_portrait(context: WorkerContext, spec: PortraitSpec) -> EncodedPortrait:
    """Return the encoded portrait from the cache, made again if it is damaged.

    Raises:
        StoreError: it cannot be fetched.
        InputError: it is damaged, and the portrait cannot be encoded again.
    """
    return read_cached(context, spec.store_key, _read, lambda: encode_portrait(context, spec))


def _read(path: Path) -> EncodedPortrait:
    tokens, latents, crop, face = read_tensors(path, VERSION, "tokens", "latents", "crop_box", "face_box")
    x1, y1, x2, y2 = (int(v) for v in crop)
    return EncodedPortrait(Appearance(tokens, latents), (x1, y1, x2, y2), _face_box(face.numpy()))


def _write(encoded: EncodedPortrait, path: Path) -> None:
    tensors = {
        "tokens": encoded.appearance.tokens,
        "latents": encoded.appearance.latents,
        "crop_box": torch.tensor(encoded.crop_box),
        "face_box": torch.tensor(encoded.face_box),
    }
    write_tensors(path, VERSION, tensors)


def _face_box(box: Floats) -> FaceBox:
    x1, y1, x2, y2 = (float(v) for v in box)
    return x1, y1, x2, y2

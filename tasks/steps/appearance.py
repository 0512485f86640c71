"""A portrait becomes an appearance: fetched, its face found and cropped, encoded, put in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from models.appearance import Appearance
from models.faces import Box, prepare_portrait
from models.tensorfile import read_tensors, write_tensors
from tasks.media import read_picture
from tasks.steps.context import WorkerContext
from tasks.steps.specs import Done, PortraitSpec
from tasks.steps.thumbnails import put_thumbnail
from troupe.errors import StoreError
from troupe.faces import Floats
from troupe.stopwatch import Stopwatch

__all__ = ["EncodedPortrait", "encode_portrait", "read_encoded_portrait"]

VERSION = "troupe cast member 1"


@dataclass(frozen=True, eq=False)
class EncodedPortrait:
    """An identity, ready to act.

    Attributes:
        appearance: the identity, encoded.
        crop_box: x1, y1, x2, y2, where in the portrait the animated square lies, in pixels.
        face_box: x1, y1, x2, y2 of the face, in pixels of the portrait.
    """

    appearance: Appearance
    crop_box: Box
    face_box: tuple[float, float, float, float]


def encode_portrait(tools: WorkerContext, spec: PortraitSpec) -> Done:
    """See to it that the portrait's appearance lies in the cache.

    Raises:
        InputError: the picture is missing, unreadable or shows no face.
    """
    if tools.store.exists(spec.place):
        return Done(reused=True)
    watch = Stopwatch()
    with watch("fetch"):
        path = tools.input(spec.uri)
    with watch("decode"):
        picture = read_picture(path)
    with watch("detect"), tools.seeking() as detector:
        portrait = prepare_portrait(picture, detector, spec.face, tools.animator.config.image_size, spec.uri)
    with watch("encode"):
        appearance = tools.animator.encode_appearance(portrait)
    with watch("put"), tools.scratch() as folder:
        file = folder / "appearance.safetensors"
        _write(EncodedPortrait(appearance, portrait.box, _four(portrait.face.box)), file)
        put = tools.store.put(file, spec.place)
        puts = put.created + put_thumbnail(tools.store, spec.place, portrait.crop)
    return Done(reused=False, seconds=watch.seconds, puts=puts)


def read_encoded_portrait(tools: WorkerContext, spec: PortraitSpec) -> EncodedPortrait:
    """The encoded portrait from the cache.

    Raises:
        StoreError: it cannot be fetched, or is damaged.
    """
    with tools.scratch() as folder:
        file = folder / "appearance.safetensors"
        tools.store.get(spec.place, file)
        try:
            tokens, latents, crop, face = read_tensors(file, VERSION, "tokens", "latents", "crop_box", "face_box")
        except ValueError as error:
            raise StoreError(f"{spec.place}: {error}") from error
    x1, y1, x2, y2 = (int(v) for v in crop)
    return EncodedPortrait(Appearance(tokens, latents), (x1, y1, x2, y2), _four(face.numpy()))


def _write(member: EncodedPortrait, path: Path) -> None:
    tensors = {
        "tokens": member.appearance.tokens,
        "latents": member.appearance.latents,
        "crop_box": torch.tensor(member.crop_box),
        "face_box": torch.tensor(member.face_box),
    }
    write_tensors(path, VERSION, tensors)


def _four(box: Floats) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(v) for v in box)
    return x1, y1, x2, y2

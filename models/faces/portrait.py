"""A portrait made ready for the appearance networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.faces.alignment import align_face
from models.faces.crops import Box, crop_head, head_box
from models.faces.detection.boxes import iou
from models.faces.detection.detector import FaceDetector
from troupe.faces import Face, FaceChoice, Floats, Picture

__all__ = ["Portrait", "build_portrait", "prepare_portrait"]

ALIGNMENT_SIZE = 512


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture, the face chosen in it, and what the networks see of it.

    Attributes:
        picture: (H, W, 3) uint8 RGB, as it was given.
        face: the chosen one, in pixels of `picture`.
        box: x1, y1, x2, y2 of the square head crop in `picture`; renders are pasted back here.
        crop: (S, S, 3) uint8 RGB, the head crop in the network's size.
        aligned: (112, 112, 3) float32 RGB in [0, 1], for the identity encoder.
    """

    picture: Picture
    face: Face
    box: Box
    crop: Picture
    aligned: Floats


def prepare_portrait(picture: Picture, detector: FaceDetector, choice: FaceChoice, size: int, where: str) -> Portrait:
    """Find the chosen face, crop its head and align its face.

    The alignment's keypoints come from a second detection on the head crop, always at 512x512 as in the release
    whatever `size` is: a model of a smaller image size should not know its identities worse for it. Of several faces
    in the crop it takes the one that was chosen; where the second detection misses it, the first one's keypoints
    serve.

    Args:
        picture: (H, W, 3) uint8 RGB.
        detector: finds the faces.
        choice: which face is meant.
        size: pixels of the model's image.
        where: name of the picture, for messages.

    Raises:
        NoFace: there is no face, or not the one asked for.
    """
    face = choice.pick(detector.detect(picture), where)
    height, width = picture.shape[:2]
    box = head_box(face.box, width, height)
    return build_portrait(picture, face, box, size, lambda closeup, expected: _same(detector.detect(closeup), expected))


def build_portrait(
    picture: Picture, face: Face, box: Box, size: int, again: Callable[[Picture, Face], Face] = lambda _, face: face
) -> Portrait:
    """A portrait whose face is known.

    Args:
        picture: (H, W, 3) uint8 RGB.
        face: in it.
        box: the square head crop.
        size: pixels of the model's image.
        again: the face in the head crop at 512x512, where it is known from `face` already.
    """
    crop = crop_head(picture, box, size)
    closeup = crop if size == ALIGNMENT_SIZE else crop_head(picture, box, ALIGNMENT_SIZE)
    keypoints = again(closeup, _into(face, box, ALIGNMENT_SIZE)).keypoints
    return Portrait(picture=picture, face=face, box=box, crop=crop, aligned=align_face(closeup, keypoints))


def _into(face: Face, box: Box, size: int) -> Face:
    """The face in pixels of the crop of `box` resized to size x size."""
    corner = np.array(box[:2], dtype=np.float32)
    scale = np.float32(size) / (np.array(box[2:], dtype=np.float32) - corner)
    moved = (face.box.reshape(2, 2) - corner) * scale
    return Face(moved.reshape(4), (face.keypoints - corner) * scale, face.score)


def _same(faces: list[Face], expected: Face) -> Face:
    """The one of `faces` that overlaps most with `expected`; that one itself if none does."""
    if not faces:
        return expected
    overlaps = iou(expected.box, np.stack([face.box for face in faces]))
    best = int(overlaps.argmax())
    return faces[best] if overlaps[best] > 0 else expected

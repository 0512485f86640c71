"""Preparation of a portrait for the appearance networks."""

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
    """A picture, the face chosen in it, and the crops for the networks.

    Attributes:
        picture: (H, W, 3) uint8 RGB, the original.
        face: the chosen face, in pixels of `picture`.
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

    The keypoints for alignment come from a second detection on the head crop, at 512x512 as in the release, so that
    models of a smaller image size get equally precise identities. If the second detection misses the chosen face, the
    keypoints of the first are used.

    Args:
        picture: (H, W, 3) uint8 RGB.
        detector: face detector.
        choice: which face to choose.
        size: image size of the model in pixels.
        where: name of the picture, for error messages.

    Raises:
        NoFace: the picture shows no face, or too few for `choice`.
    """
    face = choice.pick(detector.detect(picture), where)
    height, width = picture.shape[:2]
    box = head_box(face.box, width, height)
    return build_portrait(
        picture, face, box, size, lambda closeup, expected: _best_match(detector.detect(closeup), expected)
    )


def build_portrait(
    picture: Picture, face: Face, box: Box, size: int, refine: Callable[[Picture, Face], Face] = lambda _, face: face
) -> Portrait:
    """Build a portrait from a known face.

    Args:
        picture: (H, W, 3) uint8 RGB.
        face: the face, in pixels of `picture`.
        box: the square head crop.
        size: image size of the model in pixels.
        refine: returns a more precise face, given the head crop at 512x512 and the face in its pixels.
    """
    crop = crop_head(picture, box, size)
    closeup = crop if size == ALIGNMENT_SIZE else crop_head(picture, box, ALIGNMENT_SIZE)
    keypoints = refine(closeup, _in_crop(face, box, ALIGNMENT_SIZE)).keypoints
    return Portrait(picture=picture, face=face, box=box, crop=crop, aligned=align_face(closeup, keypoints))


def _in_crop(face: Face, box: Box, size: int) -> Face:
    """Convert a face to pixels of the crop of `box` resized to size x size."""
    corner = np.array(box[:2], dtype=np.float32)
    scale = np.float32(size) / (np.array(box[2:], dtype=np.float32) - corner)
    moved = (face.box.reshape(2, 2) - corner) * scale
    return Face(moved.reshape(4), (face.keypoints - corner) * scale, face.score)


def _best_match(faces: list[Face], expected: Face) -> Face:
    """Return the face that overlaps most with `expected`; `expected` itself if none does."""
    if not faces:
        return expected
    overlaps = iou(expected.box, np.stack([face.box for face in faces]))
    best = int(overlaps.argmax())
    return faces[best] if overlaps[best] > 0 else expected

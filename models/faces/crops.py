"""The square crops that the networks see: the whole head, and the face alone.

The geometry matches the release to the pixel: float boxes in, integer crops out, cropped and resized by PIL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

import numpy as np
from PIL import Image

from troupe.errors import InputError, NoFace
from troupe.faces import Floats, Picture, Track

__all__ = ["Box", "FaceCrops", "clip_crops", "crop_face", "crop_head", "face_box", "head_box"]

Box: TypeAlias = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""

HEAD_MARGIN = 1.0
REFERENCE_SHARE = 0.45
MIN_SIDE = 2
"""Smallest side of a crop in pixels; rounding may take one away."""
MAX_SIDE_RATIO = 8
"""Largest side of a face crop, in longer sides of the picture."""


@dataclass(frozen=True, eq=False)
class FaceCrops:
    """Inputs of the motion encoders for one driving frame.

    Attributes:
        face: (S, S, 3) uint8 RGB, for the expression encoder; moves with the face.
        head: (S, S, 3) uint8 RGB, for the head-pose encoder; moves only with its reference box.
    """

    face: Picture
    head: Picture


def head_box(box: Floats, width: int, height: int, ratio: float = HEAD_MARGIN) -> Box:
    """Return the square around a head, inside the picture.

    The face box grows by `ratio` of its width and height on each side, clipped to the picture. The result is the
    largest square in it, moved from its centre towards the face's centre as far as it stays inside.

    Args:
        box: (4,), the face box.
        width, height: size of the picture in pixels.
        ratio: margin on each side, as a share of the box.

    Returns:
        A box inside the picture; its sides differ by at most one pixel, from rounding.

    Raises:
        NoFace: the box is almost entirely outside of the picture.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    margin_x, margin_y = (x2 - x1) * ratio, (y2 - y1) * ratio
    left, right = max(x1 - margin_x, 0.0), min(x2 + margin_x, float(width))
    top, bottom = max(y1 - margin_y, 0.0), min(y2 + margin_y, float(height))
    side = min(right - left, bottom - top)
    if not side >= MIN_SIDE:  # so that NaN does not pass
        raise NoFace(
            f"the face box ({x1:g}, {y1:g}, {x2:g}, {y2:g}) has no room in a picture of {width}x{height}; "
            "check the track, or choose another face"
        )
    x = _square_centre(left, right, (x1 + x2) / 2, side)
    y = _square_centre(top, bottom, (y1 + y2) / 2, side)
    return round(x - side / 2), round(y - side / 2), round(x + side / 2), round(y + side / 2)


def _square_centre(low: float, high: float, wanted: float, side: float) -> float:
    """Return the centre of low..high, moved towards `wanted` by at most half of the room beside the square."""
    middle, surplus = (low + high) / 2, high - low - side
    return middle + min(max(wanted - middle, -surplus / 2), surplus / 2)


def face_box(keypoints: Floats, reference: Floats) -> Box:
    """Return the square around a face of a driving frame, between its keypoints and its reference box.

    Each side of the keypoints' bounding box moves 45% of the way to the same side of the reference; the square has
    the larger of the two extents, made even, around the centre's integer part.

    Args:
        keypoints: (5, 2) of this frame.
        reference: (4,), the reference box; in the released geometry, the face box of the clip's first frame.

    Returns:
        A square of even side that may extend beyond the picture.

    Raises:
        NoFace: the coordinates are not finite.
    """
    points, first = keypoints.astype(np.float64), reference.astype(np.float64)
    if not (np.isfinite(points).all() and np.isfinite(first).all()):
        raise NoFace("the face's box or keypoints are not finite; check the track")
    low, high = points.min(axis=0), points.max(axis=0)
    low += (first[:2] - low) * REFERENCE_SHARE
    high += (first[2:] - high) * REFERENCE_SHARE
    x, y = (int(v) for v in (low + high) / 2)
    half = max(int(max(high - low)) // 2, MIN_SIDE // 2)
    return x - half, y - half, x + half, y + half


def crop_head(picture: Picture, box: Box, size: int) -> Picture:
    """Return the head crop (size, size, 3), by bicubic interpolation."""
    return np.asarray(_crop(picture, box, size, Image.Resampling.BICUBIC))


def crop_face(picture: Picture, box: Box, size: int) -> Picture:
    """Return the face crop (size, size, 3), by bilinear interpolation; black outside of the picture.

    Raises:
        InputError: the box is more than `MAX_SIDE_RATIO` times larger than the picture.
    """
    height, width = picture.shape[:2]
    if max(box[2] - box[0], box[3] - box[1]) > MAX_SIDE_RATIO * max(height, width):
        raise InputError(f"the face crop {box} is far larger than its picture of {width}x{height}; check the track")
    return np.asarray(_crop(picture, box, size, Image.Resampling.BILINEAR))


def clip_crops(
    frames: Iterable[Picture], track: Track, image_size: int, face_size: int, references: Floats | None = None
) -> Iterator[FaceCrops]:
    """Yield the crops of every frame of a driving clip, with one frame in memory at a time.

    Args:
        frames: (H, W, 3) each, as many as the track has.
        track: track of the face.
        image_size: side in pixels in which the head is cropped first, as a portrait's is.
        face_size: side in pixels of the crops that the motion encoders see.
        references: (F, 4) as `models.faces.framing.reference_boxes` makes them; None for the released geometry.

    Raises:
        InputError: the clip and the track differ in length.
    """
    if references is None:
        references = np.broadcast_to(track.boxes[:1], track.boxes.shape)
    for index, (frame, keypoints) in enumerate(zip_longest(frames, track.keypoints)):
        if frame is None or keypoints is None:
            relation = "ends after" if frame is None else "continues after"
            raise InputError(
                f"the clip {relation} {index} frames, its track has {len(track)}; make the track from this very clip"
            )
        reference = references[index]
        head = crop_head(frame, head_box(reference, frame.shape[1], frame.shape[0]), image_size)
        small = Image.fromarray(head).resize((face_size, face_size), Image.Resampling.BILINEAR)
        yield FaceCrops(crop_face(frame, face_box(keypoints, reference), face_size), np.asarray(small))


def _crop(picture: Picture, box: Box, size: int, resampling: Image.Resampling) -> Image.Image:
    return Image.fromarray(picture).crop(box).resize((size, size), resampling)

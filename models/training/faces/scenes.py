"""Synthetic pictures for detector training: one, several or no people, near or far, with their faces."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from models.miniature import render
from models.synthetic.bust import backdrop
from models.synthetic.paint import Points
from models.training.augmentation import augment
from models.training.sampling import sample_identity, sample_moment
from troupe import Face, Floats, Picture

__all__ = ["LARGEST_FACE", "MOST_PEOPLE", "SMALLEST_FACE", "Augment", "clutter", "scene"]

Augment: TypeAlias = Callable[[Picture, np.random.Generator], Picture]

SMALLEST_FACE, LARGEST_FACE = 20.0, 420.0
"""Range of face widths in pixels."""
MOST_PEOPLE = 4
_NOBODY, _NEAR = 0.15, 0.45
"""Shares of pictures without people and of pictures filled by one person."""
_FACE_SHARE = 0.43  # of the shorter side of a picture of the world: an average face's width
_SMALLEST_DRAWN = 48
_SHOWN = 0.75  # of a face's box: less of it is not shown on purpose
_ASPECTS = (1.0, 1.0, 0.8, 0.5625, 0.75, 1.25, 1.3333, 1.7778)


def scene(
    rng: np.random.Generator, side: int, held_out: bool = False, augment: Augment = augment
) -> tuple[Picture, list[Face]]:
    """Draw a picture as a detector receives it: in the upper left of a black square, as large as fits.

    Args:
        side: side of the square in pixels.
        held_out: whether to use held-out people and performances.
        augment: augmentation of most pictures, and of the people in them.

    Returns:
        picture: (side, side, 3).
        faces: at most `MOST_PEOPLE`, each with at least three quarters of its box in the picture.
    """
    aspect = float(rng.choice(_ASPECTS)) * float(np.exp(rng.normal(0, 0.05)))
    width, height = (side, max(int(side / aspect), 32)) if aspect > 1 else (max(int(side * aspect), 32), side)
    kind = rng.random()
    faces: list[Face] = []
    if kind < _NOBODY:
        picture = clutter(rng, width, height)
        if rng.random() < 0.5:
            _paste(picture, rng, _faceless(rng, min(width, height), held_out))
    elif kind < _NOBODY + _NEAR:
        picture, face = _near(rng, width, height, held_out, augment)
        faces.append(face)
    else:
        picture = clutter(rng, width, height)
        for _ in range(int(rng.integers(1, MOST_PEOPLE + 1))):
            _add(picture, faces, rng, held_out, augment)
    if rng.random() < 0.7:
        picture = augment(picture, rng)
    whole = np.zeros((side, side, 3), np.uint8)
    whole[:height, :width] = picture
    return whole, faces


def clutter(rng: np.random.Generator, width: int, height: int) -> Picture:
    """Draw a background (H, W, 3) with random shapes, some of them in the colours of people."""
    kind = rng.random()
    if kind < 0.35:
        picture = backdrop(sample_identity(rng), (width, height)).copy()
    elif kind < 0.75:
        cells = (1, 1) if rng.random() < 0.4 else (2, 2)
        picture = _stretched(rng.integers(0, 256, (*cells, 3), dtype=np.uint8), width, height)
    else:
        finest = 24 if rng.random() < 0.5 else 240
        cells = (int(rng.integers(2, finest)), int(rng.integers(2, finest)))
        blocks = rng.integers(0, 256, (*cells, 3), dtype=np.uint8)
        picture = np.asarray(
            cv2.resize(
                blocks,
                (width, height),
                interpolation=int(rng.choice([cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC])),
            )
        )
    someone = sample_identity(rng)
    colours = (someone.skin, someone.lips, someone.hair_colour, someone.cloth, someone.eyes)
    reach = max(width, height)
    for _ in range(int(rng.integers(0, 10))):
        own = rng.random() < 0.5
        colour = colours[int(rng.integers(len(colours)))] if own else tuple(map(int, rng.integers(0, 256, 3)))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        a, b = (max(int(reach * 0.3 * rng.random() ** 2), 2) for _ in range(2))
        angle = float(rng.uniform(0, 180))
        form = int(rng.integers(3))
        if form == 0:
            cv2.ellipse(picture, (x, y), (a, b), angle, 0, 360, colour, -1, cv2.LINE_AA)
        elif form == 1:
            corners = cv2.boxPoints(((x, y), (2 * a, 2 * b), angle)).astype(np.int32)
            cv2.fillPoly(picture, [corners], colour, cv2.LINE_AA)
        else:
            cv2.line(picture, (x, y), (x + a - b, y + b), colour, 1 + a // 12, cv2.LINE_AA)
    if rng.random() < 0.15:
        picture = np.clip(picture + rng.normal(0, 25, picture.shape), 0, 255).astype(np.uint8)
    return picture


def _near(rng: np.random.Generator, width: int, height: int, held_out: bool, augment: Augment) -> tuple[Picture, Face]:
    """Draw a person who fills the picture, cropped closer or, on black, farther away."""
    coarse = float(rng.uniform(1, 3.5)) if rng.random() < 0.75 else 1.0
    coarse = max(min(coarse, min(width, height) / _SMALLEST_DRAWN), 1.0)
    drawn = (max(round(width / coarse), 1), max(round(height / coarse), 1))
    picture, face = render(sample_identity(rng, held_out), sample_moment(rng, held_out), drawn)
    if rng.random() < 0.4:
        picture = augment(picture, rng)
    scale = np.array([width / drawn[0], height / drawn[1]])
    if rng.random() < 0.75:
        across = float(face.box[2] - face.box[0]) * scale[0]
        shorter = min(width, height)
        scale = scale * (rng.uniform(0.14 * shorter, min(LARGEST_FACE, 1.3 * shorter)) / across)
    middle = (_centre(face.box) + 0.5) * scale - 0.5
    free = (face.box[2:] - face.box[:2]) * scale * (0.5 - 0.3 * rng.random())
    room = np.array([width, height])
    # Where its middle may be: its box inside of the picture, or a little outside.
    low, high = np.minimum(free, room / 2), np.maximum(room - free, room / 2)
    aim = middle + (rng.normal(0, 0.12, 2) * room)
    aim = np.clip(aim if rng.random() < 0.7 else rng.uniform(low, high), low, high)
    shift = aim - middle + 0.5 * scale - 0.5
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    shrinks = scale[0] < 0.7
    if shrinks:  # `warpAffine` skips pixels
        smaller = (max(round(drawn[0] * scale[0]), 1), max(round(drawn[1] * scale[1]), 1))
        picture = np.asarray(cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA))
        ratio = np.array(smaller) / drawn
        rest = scale / ratio
        inner = 0.5 * ratio - 0.5
        warp = np.array([[rest[0], 0, shift[0] - rest[0] * inner[0]], [0, rest[1], shift[1] - rest[1] * inner[1]]])
    else:
        warp = matrix
    filled = cv2.warpAffine(picture, warp, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(filled, dtype=np.uint8), _moved(face, scale, shift)


def _add(picture: Picture, faces: list[Face], rng: np.random.Generator, held_out: bool, augment: Augment) -> None:
    """Add a person, unless there is too little room or they would cover another's face."""
    height, width = picture.shape[:2]
    tile, face = _tile(rng, _size(rng, SMALLEST_FACE, min(LARGEST_FACE, 0.55 * min(width, height))), held_out)
    size = np.array([tile.shape[1], tile.shape[0]])
    # Cut closer round the face.
    margin = (face.box[2:] - face.box[:2]) * rng.uniform(0.05, 0.6, 2)
    first = np.maximum(np.floor(face.box[:2] - margin), 0).astype(int)
    last = np.minimum(np.ceil(face.box[2:] + margin * rng.uniform(1, 2)), size).astype(int)
    tile = tile[first[1] : last[1], first[0] : last[0]]
    room = np.array([width, height])
    half = (face.box[2:] - face.box[:2]) * 0.45
    if (room < 2 * half + 2).any():
        return
    corner = np.rint(rng.uniform(half, room - half) - _centre(face.box)).astype(int) + first
    face = _moved(face, np.ones(2), (corner - first).astype(float))
    covered = np.concatenate([corner, corner + (last - first)])
    if any(_meet(covered, other.box) or _meet(face.box, other.box) for other in faces):
        return
    if rng.random() < 0.4:
        tile = augment(tile, rng)
    _blend(picture, tile, corner, face, rng)
    faces.append(face)


def _tile(rng: np.random.Generator, across: float, held_out: bool) -> tuple[Picture, Face]:
    """Draw a person in a square, with a face about `across` pixels wide."""
    side = max(across / _FACE_SHARE, 16)
    coarse = max(min(float(rng.uniform(1, 3.0)), side / _SMALLEST_DRAWN), 1.0) if rng.random() < 0.6 else 1.0
    drawn = max(round(side / coarse), _SMALLEST_DRAWN)
    picture, face = render(sample_identity(rng, held_out), sample_moment(rng, held_out), (drawn, drawn))
    whole = round(side)
    if whole == drawn:
        return picture, face
    how = cv2.INTER_AREA if whole < drawn else cv2.INTER_LINEAR
    ratio = whole / drawn
    return (
        np.asarray(cv2.resize(picture, (whole, whole), interpolation=how), dtype=np.uint8),
        _moved(face, np.full(2, ratio), np.full(2, 0.5 * ratio - 0.5)),
    )


def _size(rng: np.random.Generator, least: float, most: float) -> float:
    """Sample a size log-uniformly; `least` if `most` is smaller."""
    return float(np.exp(rng.uniform(np.log(least), np.log(max(least, most)))))


def _faceless(rng: np.random.Generator, side: int, held_out: bool) -> Picture:
    """Draw a person whose face is covered or cropped away."""
    tile, face = _tile(rng, _size(rng, 24, 0.4 * side), held_out)
    x1, y1, x2, y2 = (int(v) for v in face.box)
    if rng.random() < 0.5:
        return tile[min(y2 + 2, len(tile) - 8) :]
    colour = sample_identity(rng).skin if rng.random() < 0.6 else tuple(map(int, rng.integers(0, 256, 3)))
    middle, axes = ((x1 + x2) // 2, (y1 + y2) // 2), (max((x2 - x1) * 6 // 10, 2), max((y2 - y1) * 6 // 10, 2))
    cv2.ellipse(tile, middle, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
    return tile


def _paste(picture: Picture, rng: np.random.Generator, tile: Picture) -> None:
    """Paste a tile at a random position, clipped to the picture."""
    height, width = picture.shape[:2]
    tile = tile[:height, :width]
    x, y = (int(rng.integers(n - m + 1)) for n, m in ((width, tile.shape[1]), (height, tile.shape[0])))
    picture[y : y + tile.shape[0], x : x + tile.shape[1]] = tile


def _blend(picture: Picture, tile: Picture, corner: NDArray[np.int64], face: Face, rng: np.random.Generator) -> None:
    """Blend a tile into the picture at a corner: with a hard border, or faded out around the head."""
    height, width = picture.shape[:2]
    x, y = (int(v) for v in corner)
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(x + tile.shape[1], width), min(y + tile.shape[0], height)
    part = tile[y1 - y : y2 - y, x1 - x : x2 - x]
    under = picture[y1:y2, x1:x2]
    if rng.random() < 0.5:
        under[:] = part
        return
    mask = np.zeros(part.shape[:2], np.uint8)
    middle = _centre(face.box) - (x1, y1)
    axes = (face.box[2:] - face.box[:2]) * (0.68, 0.80)
    cv2.ellipse(mask, tuple(map(int, middle)), tuple(map(int, np.maximum(axes, 1))), 0, 0, 360, 255, -1, cv2.LINE_AA)
    soft = cv2.GaussianBlur(mask, (0, 0), max(float(axes[0]) * 0.06, 0.3)).astype(np.float32) / 255
    under[:] = cv2.blendLinear(np.ascontiguousarray(part), np.ascontiguousarray(under), soft, 1 - soft)


def _moved(face: Face, scale: Points, shift: Points) -> Face:
    """Scale and shift all points of a face."""
    box = face.box.reshape(2, 2) * scale + shift
    return Face(box.reshape(4).astype(np.float32), (face.keypoints * scale + shift).astype(np.float32), face.score)


def _centre(box: Floats) -> Points:
    return (box[:2].astype(np.float64) + box[2:]) / 2


def _meet(a: Floats, b: Floats) -> bool:
    """Whether two boxes overlap."""
    return bool((np.minimum(a[2:], b[2:]) > np.maximum(a[:2], b[:2])).all())


def _stretched(corners: Picture, width: int, height: int) -> Picture:
    return np.asarray(cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)

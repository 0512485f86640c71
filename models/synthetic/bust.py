"""Drawing of neck, shoulders, clothes and backdrop."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from models.synthetic.chroma import flushed
from models.synthetic.hair import hull
from models.synthetic.head import Head
from models.synthetic.paint import Canvas, Points, darker, ellipse, mix, smooth
from models.synthetic.person import Colour, Identity
from troupe import Picture

__all__ = ["backdrop", "draw_bust"]

_SHOULDERS = np.array(
    [(-2.3, 4.5), (-2.15, 2.95), (-1.75, 2.42), (-0.85, 2.10), (-0.48, 1.86), (0.48, 1.86), (0.85, 2.10), (1.75, 2.42),
     (2.15, 2.95), (2.3, 4.5)]
)  # fmt: skip
_BOTTOM = np.array([(2.3, 9.0), (-2.3, 9.0)])


@lru_cache(maxsize=8)
def backdrop(identity: Identity, size: tuple[int, int]) -> Picture:
    """Return the backdrop, (H, W, 3): the same array for all frames, read-only."""
    width, height = size
    side = min(size)
    rows = np.linspace(1.05, 0.90, 2 * height)[:, None, None]
    wall = np.clip(np.array(identity.wall) * rows, 0, 255).astype(np.uint8).repeat(2 * width, axis=1)
    canvas = Canvas(wall)
    x, y = width / 2, 0.45 * height
    accent = identity.accent
    if identity.backdrop == "disc":
        canvas.fill(ellipse(x, y, 0.43 * side, 0.43 * side, 64), accent)
    elif identity.backdrop == "hills":
        for share, height_share, tone in ((0.15, 0.62, 0.5), (0.75, 0.70, 1.0)):
            canvas.fill(
                ellipse(share * width, 1.05 * height, 0.75 * width, (1.05 - height_share) * height, 64),
                mix(identity.wall, accent, tone),
            )
    elif identity.backdrop == "stripes":
        for k in range(-1, 7):
            left = k * width / 5
            canvas.fill(
                np.array([(left, 0), (left + width / 10, 0), (left - height / 3 + width / 10, height),
                          (left - height / 3, height)]),
                accent,
            )  # fmt: skip
    elif identity.backdrop == "dots":
        for row in range(int(height / side * 7) + 2):
            for column in range(int(width / side * 7) + 2):
                centre = ((column + 0.5 * (row % 2)) * side / 7, row * side / 7)
                canvas.fill(ellipse(*centre, 0.026 * side, 0.026 * side, 20), accent)
    finished = np.asarray(cv2.GaussianBlur(canvas.finished(), (0, 0), 0.005 * side), dtype=np.uint8)
    finished.setflags(write=False)
    return finished


def draw_bust(canvas: Canvas, head: Head) -> None:
    """Draw neck, shoulders and clothes."""
    identity = head.identity
    skin = flushed(identity.skin)
    _draw_neck(canvas, head)
    cloth, trim = identity.cloth, identity.trim
    torso = np.concatenate([smooth(_SHOULDERS, closed=False, each=6), _BOTTOM])
    canvas.form(head.body(torso), cloth, 0.10 * head.unit)
    # A shaded fold at each arm.
    for side in (-1, 1):
        fold = np.array([(1.42, 3.1), (1.52, 3.6), (1.56, 4.6), (1.50, 4.6), (1.44, 3.6)]) * (side, 1)
        canvas.fill(head.body(smooth(fold)), darker(cloth, 0.82))
    if identity.hair == "scarf":
        drape = np.array(
            [(-0.95, 1.5), (0.95, 1.5), (1.28, 2.15), (0.75, 2.62), (0.0, 2.86), (-0.75, 2.62), (-1.28, 2.15)]
        )
        canvas.fill(head.body(smooth(drape)), darker(identity.hair_colour, 0.9))
        return
    if identity.garment == "crew":
        _draw_collar(canvas, head, _collar(0.58, 1.96, 0.24, 0.13), trim)
    elif identity.garment == "vneck":
        opening = np.array([(-0.52, 1.78), (0.52, 1.78), (0.30, 2.25), (0.0, 2.72), (-0.30, 2.25)])
        canvas.fill(head.body(np.array([(-0.66, 1.9), (0.66, 1.9), (0.36, 2.35), (0.0, 2.92), (-0.36, 2.35)])), trim)
        canvas.fill(head.body(opening), skin)
    elif identity.garment == "turtleneck":
        sleeve = np.array([(-0.60, 1.62), (0.0, 1.74), (0.60, 1.62), (0.72, 2.2), (0.0, 2.42), (-0.72, 2.2)])
        canvas.fill(head.body(smooth(sleeve)), darker(cloth, 0.88))
        canvas.fill(head.body(_collar(0.57, 1.71, 0.12, 0.05)), darker(cloth, 0.74))
    elif identity.garment == "hoodie":
        _draw_collar(canvas, head, _collar(0.80, 1.90, 0.42, 0.36), darker(cloth, 0.80))
        for side in (-1, 1):
            cord = np.array([(0.34, 2.42), (0.40, 2.42), (0.42, 3.2), (0.35, 3.2)]) * (side, 1)
            canvas.fill(head.body(cord), trim)
    else:
        canvas.fill(head.body(np.array([(-0.50, 1.78), (0.50, 1.78), (0.0, 2.56)])), skin)
        for side in (-1, 1):
            flap = np.array([(0.40, 1.72), (0.72, 1.92), (0.62, 2.52), (0.02, 2.50), (0.30, 2.10)]) * (side, 1)
            canvas.fill(head.body(flap), darker(trim, 1.12))
        canvas.fill(head.body(np.array([(-0.02, 2.55), (0.02, 2.55), (0.02, 4.6), (-0.02, 4.6)])), darker(cloth, 0.8))


def _draw_neck(canvas: Canvas, head: Head) -> None:
    skin = flushed(head.identity.skin)
    top = np.array([(-0.50, 0.55, -0.25), (0.50, 0.55, -0.25), (-0.46, 0.9, 0.1), (0.46, 0.9, 0.1)])
    base = head.body(np.array([(-0.54, 1.75), (0.54, 1.75), (-0.50, 2.05), (0.0, 2.22), (0.50, 2.05)]))
    neck = hull(np.concatenate([head.project(top), base]))
    canvas.fill(neck, skin)

    def shadow(inner: Canvas) -> None:
        face = head.face()
        jaw = hull(head.project(face[face[:, 1] > 0.4]))
        inner.fill(jaw + head.unit * np.array([0.06, 0.26]), darker(skin, 0.76))

    canvas.inside(neck, shadow)


def _draw_collar(canvas: Canvas, head: Head, band: Points, colour: Colour) -> None:
    """Draw a collar and the bare skin above it."""
    bare = np.concatenate([band[: len(band) // 2], [(0.52, 1.72), (-0.52, 1.72)]])
    canvas.fill(head.body(bare), flushed(head.identity.skin))
    canvas.fill(head.body(band), colour)


def _collar(wide: float, y: float, drop: float, thick: float) -> Points:
    """Return the outline of a band that sags from shoulder to shoulder."""
    u = np.linspace(-1, 1, 15)
    sag = drop * np.sqrt(np.maximum(1 - u**2, 0))
    upper = np.stack([wide * u, y - 0.16 + sag], axis=1)
    lower = np.stack([(wide + 0.6 * thick) * u, y - 0.16 + sag + thick * (0.25 + 0.75 * np.sqrt(1 - u**2))], axis=1)
    return np.concatenate([upper, lower[::-1]])

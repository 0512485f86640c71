"""Antialiased drawing of smooth shapes."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from models.synthetic.person import Colour
from troupe import Picture

__all__ = ["Canvas", "Points", "darker", "ellipse", "mix", "smooth"]

Points = NDArray[np.float64]

_SUPER = 2  # factor of supersampling per side
_BITS = 4  # fractional bits of OpenCV's fixed-point coordinates


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """Mix two colours, with a share of `b`."""
    return (
        round(a[0] + (b[0] - a[0]) * share),
        round(a[1] + (b[1] - a[1]) * share),
        round(a[2] + (b[2] - a[2]) * share),
    )


def darker(colour: Colour, factor: float) -> Colour:
    """Scale the brightness of a colour; its chroma stays."""
    return (
        min(round(colour[0] * factor), 255),
        min(round(colour[1] * factor), 255),
        min(round(colour[2] * factor), 255),
    )


@lru_cache(maxsize=64)
def _spline(points: int, closed: bool, each: int) -> Points:
    """Return the matrix that maps points to a Catmull-Rom curve through them, with `each` samples per span."""
    t = np.arange(each)[:, None] / each
    basis = 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
    spans = points if closed else points - 1
    matrix = np.zeros((spans * each + (not closed), points))
    for span in range(spans):
        rows = slice(span * each, (span + 1) * each)
        for k in range(4):
            i = span + k - 1
            matrix[rows, i % points if closed else min(max(i, 0), points - 1)] += basis[:, k]
    if not closed:
        matrix[-1, -1] = 1
    return matrix


def smooth(points: Points, closed: bool = True, each: int = 6) -> Points:
    """Return a smooth curve through points of any dimension."""
    return _spline(len(points), closed, each) @ points


@lru_cache(maxsize=16)
def _circle(count: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ellipse(x: float, y: float, rx: float, ry: float, count: int = 28) -> Points:
    """Return points around an ellipse."""
    return _circle(count) * (rx, ry) + (x, y)


class Canvas:
    """A picture that is drawn with supersampling.

    Coordinates are in pixels of the finished picture; the centre of its first pixel is (0, 0).
    """

    def __init__(self, picture: Picture, origin: tuple[int, int] = (0, 0)) -> None:
        """Draw into the pixels of a supersampled picture, whose upper left pixel is at `origin` in the whole canvas."""
        self._pixels = picture
        self._origin = np.array(origin, dtype=np.float64)

    @classmethod
    def over(cls, backdrop: Picture) -> Canvas:
        """Return a canvas with a copy of a backdrop of the finished size."""
        return cls(backdrop.repeat(_SUPER, axis=0).repeat(_SUPER, axis=1))

    def finished(self) -> Picture:
        """Return the picture in its finished size."""
        height, width = self._pixels.shape[:2]
        return np.asarray(
            cv2.resize(self._pixels, (width // _SUPER, height // _SUPER), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )

    def fill(self, points: Points, colour: Colour, opacity: float = 1.0) -> None:
        """Fill the polygon of points (N, 2)."""
        fixed = self._fixed(points)
        if opacity >= 1:
            cv2.fillPoly(self._pixels, [fixed], colour, cv2.LINE_AA, _BITS)
            return
        part = self._part(fixed, 0)
        if part is None:
            return
        pixels, offset = part
        layer = pixels.copy()
        cv2.fillPoly(layer, [fixed - offset], colour, cv2.LINE_AA, _BITS)
        cv2.addWeighted(layer, opacity, pixels, 1 - opacity, 0, dst=pixels)

    def form(self, points: Points, colour: Colour, depth: float) -> None:
        """Fill a round shape, lit from the upper left, with two steps of shade, `depth` wide, on the opposite side."""

        def shade(inner: Canvas) -> None:
            step = np.array([-depth, -0.4 * depth])
            inner.fill(points + step, darker(colour, 0.945))
            inner.fill(points + 2 * step, colour)

        self.fill(points, darker(colour, 0.885))
        self.inside(points, shade)

    def stroke(self, points: Points, colour: Colour, width: float, closed: bool = False) -> None:
        """Draw a line through points (N, 2), `width` pixels wide."""
        thickness = max(round(width * _SUPER), 1)
        cv2.polylines(self._pixels, [self._fixed(points)], closed, colour, thickness, cv2.LINE_AA, _BITS)

    def inside(self, outline: Points, paint: Callable[[Canvas], None]) -> None:
        """Let `paint` draw, clipped to the outline."""
        fixed = self._fixed(outline)
        part = self._part(fixed, 2)
        if part is None:
            return
        pixels, offset = part
        painted = pixels.copy()
        corner = offset[0] >> _BITS
        paint(Canvas(painted, (int(self._origin[0] + corner[0]), int(self._origin[1] + corner[1]))))
        mask = np.zeros(pixels.shape[:2], np.uint8)
        cv2.fillPoly(mask, [fixed - offset], 255, cv2.LINE_AA, _BITS)
        weight = mask.astype(np.float32) / np.float32(255)
        pixels[:] = cv2.blendLinear(painted, pixels, weight, 1 - weight)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        own = points * _SUPER + ((_SUPER - 1) / 2 - self._origin)
        return np.rint(own * (1 << _BITS)).astype(np.int32)

    def _part(self, fixed: NDArray[np.int32], margin: int) -> tuple[Picture, NDArray[np.int32]] | None:
        """Return the pixels around a shape and their upper left corner in fixed point; None if off the canvas."""
        height, width = self._pixels.shape[:2]
        x0, y0 = np.maximum((fixed.min(axis=0) >> _BITS) - 2 - margin, 0)
        x1, y1 = np.minimum((fixed.max(axis=0) >> _BITS) + 3 + margin, (width, height))
        if x0 >= x1 or y0 >= y1:
            return None
        return self._pixels[y0:y1, x0:x1], np.array([[x0, y0]], np.int32) << _BITS

"""The shape of a head, its rotation, and its projection into the picture.

Lengths are in head units: half the width of an average face. The axes of a head point to the picture's right, down and
towards the viewer; the origin is between the ears.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.synthetic.paint import Points, smooth
from models.synthetic.performance import Moment
from models.synthetic.person import Identity

__all__ = ["BROW", "CHIN", "CROWN", "EYE_LINE", "HAIRLINE", "MOUTH_LINE", "Head"]

CROWN, HAIRLINE, BROW, EYE_LINE, MOUTH_LINE, CHIN = -1.38, -0.80, -0.31, 0.03, 0.80, 1.30
"""Heights on the head, in head units from its origin."""

_UNIT = 0.215  # head unit, as a share of the picture's shorter side
_CENTRE = 0.47  # height of the origin, as a share of the picture's height
_PIVOT = np.array([0.0, 0.95, -0.35])  # the point in the neck that the head rotates about
_DISTANCE = 9.0  # from the viewer, in head units
_JAW_DROP = 0.15
_LEVELS = 26
_FLAT = 2.3  # exponent of the superellipse of a cross-section: flatter in front than an ellipse


@lru_cache(maxsize=256)
def _profile(identity: Identity) -> tuple[Points, Points, Points]:
    """Return heights, half-widths and depths from crown to chin."""
    jaw, chin = identity.jaw, identity.chin
    dome = np.linspace(np.pi / 2, 0, 8)[:-1]
    round_ = np.cos(dome) ** 0.92
    skull = np.stack([-0.35 + (CROWN + 0.35) * np.sin(dome) ** 0.92, round_, 1.08 * round_], axis=1)
    lower = np.array(
        [
            (-0.35, 1.0, 1.08),
            (0.05, 1.0, 1.08),
            (0.40, 0.96, 1.05),
            (0.72, 0.5 * (jaw + 0.97), 1.01),
            (0.95, jaw, 0.98),
            (1.14, 0.45 * jaw + 0.55 * chin, 0.95),
            (1.25, 0.78 * chin, 0.88),
            (CHIN, 0.0, 0.55),
        ]
    )
    curve = smooth(np.concatenate([skull, lower]), closed=False, each=8)
    return (
        np.maximum.accumulate(curve[:, 0]),
        np.maximum(curve[:, 1], 0),
        np.maximum(curve[:, 2], 0),
    )


class Head:
    """A person's head at one moment, in a picture of (width, height) pixels."""

    def __init__(self, identity: Identity, moment: Moment, size: tuple[int, int]) -> None:
        self.identity = identity
        self.moment = moment
        self._heights, self._widths, self._depths = _profile(identity)
        width, height = size
        self.unit = _UNIT * min(size) * moment.scale
        """Pixels per head unit."""
        # A larger scale moves the camera towards the face, so the head stays where it is.
        self._origin = np.array([width / 2 - 0.5, _CENTRE * height - 0.5])
        self._shift = np.array([moment.x, moment.y])
        self._stretch = np.array([identity.face_width, identity.face_height, 1.0])
        self._turn = _rotation(moment.yaw, moment.pitch, moment.roll)

    def project(self, points: Points) -> Points:
        """Project points (N, 3) of the head to pixels (N, 2)."""
        turned = (points * self._stretch - _PIVOT) @ self._turn.T + _PIVOT
        near = _DISTANCE / (_DISTANCE - turned[:, 2:])
        return np.asarray((turned[:, :2] * near + self._shift) * self.unit + self._origin)

    def body(self, points: Points) -> Points:
        """Project points (N, 2), relative to the unmoved head, of the body, which moves half as far as the head."""
        return np.asarray((points + 0.5 * self._shift) * self.unit + self._origin)

    def depth(self, direction: tuple[float, float, float]) -> float:
        """Return how far a direction of the head points at the viewer, -1..1."""
        return float(self._turn[2] @ np.array(direction))

    def on(self, points: Points, out: float = 0.0) -> Points:
        """Project points (N, 2), right and down as seen from the front, onto the face, raised by `out`: (N, 3)."""
        x, y = points[:, 0], points[:, 1]
        width = np.interp(y, self._heights, self._widths)
        depth = np.interp(y, self._heights, self._depths)
        share = np.clip(x / np.maximum(width, 1e-6), -0.995, 0.995)
        return np.stack([x, y, depth * (1 - np.abs(share) ** _FLAT) ** (1 / _FLAT) + out], axis=1)

    def place(self, points: Points, out: float = 0.0) -> Points:
        """Return `on` in pixels."""
        return self.project(self.on(points, out))

    def shell(self, y: NDArray[np.float64], azimuth: NDArray[np.float64], swell: float = 0.0) -> Points:
        """Return the points (N, 3) on the head at heights (N,) and azimuths (N,), in degrees: 0 is front, 90 is right.

        The jaw moves with the mouth.

        Args:
            swell: enlargement of the head, as a share.
        """
        angle = np.deg2rad(azimuth)
        width = np.interp(y, self._heights, self._widths)
        depth = np.interp(y, self._heights, self._depths)
        sine, cosine = np.sin(angle), np.cos(angle)
        x = width * np.copysign(np.abs(sine) ** (2 / _FLAT), sine)
        z = depth * np.copysign(np.abs(cosine) ** (2 / _FLAT), cosine)
        share = np.clip((y - 0.35) / 0.6, 0, 1)
        drop = _JAW_DROP * self.moment.mouth * share * share * (3 - 2 * share)
        grown = 1 + swell
        return np.stack([x * grown, np.where(y < 0, y * grown, y) + drop, z * grown], axis=1)

    def cap(self, low: float, swell: float = 0.0, back: float = 0.0) -> Points:
        """Return points (N, 3) that cover the head above `low`; at the back, down to `back` below that."""
        y, azimuth = _grid()
        behind = (1 - np.cos(np.deg2rad(azimuth))) / 2
        limit = low + back * behind
        return self.shell(np.minimum(CROWN + (y - CROWN) / (CHIN - CROWN) * (limit - CROWN), limit), azimuth, swell)

    def face(self, hairline: float = HAIRLINE) -> Points:
        """Return points (N, 3) that cover the face, from the hairline to the chin and from ear to ear."""
        y, azimuth = _grid()
        azimuth = azimuth * (96 / 180)
        top = np.interp(
            np.abs(azimuth),
            [0, 35, 60, 80, 96],
            [hairline, hairline + 0.02, hairline + 0.18, -0.30, 0.05],
        )
        return self.shell(top + (y - CROWN) / (CHIN - CROWN) * (CHIN - top), azimuth)


@lru_cache(maxsize=1)
def _grid() -> tuple[Points, Points]:
    """Return a flattened grid of heights from crown to chin, denser at the ends, and azimuths all around."""
    share = (1 - np.cos(np.linspace(0, np.pi, _LEVELS))) / 2
    y, azimuth = np.meshgrid(CROWN + share * (CHIN - CROWN), np.arange(-180.0, 181.0, 10.0), indexing="ij")
    return y.ravel(), azimuth.ravel()


def _rotation(yaw: float, pitch: float, roll: float) -> Points:
    """Return the matrix of a rotation by yaw, then pitch, then roll, in degrees."""
    (a, b, c) = np.deg2rad([yaw, pitch, roll])
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_z @ about_x @ about_y)

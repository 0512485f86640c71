"""Drawing of eyes and brows."""

from __future__ import annotations

from functools import partial

import numpy as np

from models.synthetic.chroma import INK, WHITE, flushed
from models.synthetic.head import BROW, EYE_LINE, Head
from models.synthetic.paint import Canvas, darker, ellipse, mix

__all__ = ["draw_brow", "draw_eye", "eye_centre"]

_U = np.linspace(-1, 1, 17)
_ARCH = 1 - _U**2
_BULGE = np.sqrt(np.maximum(_ARCH, 0))


def eye_centre(head: Head, side: int) -> tuple[float, float]:
    """Return the position (x, y) of the eye on a side (-1 or 1), as seen from the front."""
    return side * head.identity.eye_spacing, EYE_LINE


def draw_eye(canvas: Canvas, head: Head, side: int) -> None:
    """Draw the eye on a side (-1 or 1), as open as in the current moment."""
    identity, moment = head.identity, head.moment
    opening = float(np.clip(moment.left if side < 0 else moment.right, 0, 1))
    x, y = eye_centre(head, side)
    size = identity.eye_size
    wide, high = 0.205 * size, 0.155 * size
    squint = 0.25 * max(moment.smile, 0.0) * high
    tilt = -identity.eye_tilt * side * _U
    closed = 0.42 * high * _ARCH
    top = closed + opening * (-high * _BULGE * (1 + 0.12 * side * -_U * 0.5) - closed) + tilt
    low = closed + opening * (0.72 * high * _ARCH - squint * _ARCH - closed) + tilt
    across = x + wide * _U
    upper, lower = np.stack([across, y + top], axis=1), np.stack([across, y + low], axis=1)
    crease = np.stack([across, y + np.minimum(top - 0.065 * size, 0.02) + 0.03 * (1 - _ARCH)], axis=1)
    outline = np.concatenate([upper, lower[::-1]])

    # The eyelid, slightly shaded above the lashes.
    lid = np.concatenate([crease, upper[::-1]])
    canvas.fill(head.place(lid), flushed(identity.skin), 0.55)
    if opening > 0.04:
        canvas.inside(head.place(outline, 0.01), partial(_draw_ball, head=head, side=side))
    # The lashes, thicker at the outer end; a single dark line when the eye is closed.
    thick = 0.05 * size * (0.55 + 0.45 * side * _U) * (0.35 + 0.65 * _BULGE) + 0.012
    lash_top = np.stack([across + 0.012 * side, y + top - thick * (1.0 - 0.35 * (1 - opening))], axis=1)
    lash_low = np.stack([across + 0.012 * side, y + top + (0.018 + 0.02 * (1 - opening)) * _BULGE], axis=1)
    canvas.fill(head.place(np.concatenate([lash_top, lash_low[::-1]]), 0.015), INK)
    if opening > 0.2:
        under = np.concatenate([lower, lower[::-1] + np.array([0, 0.02])])
        canvas.fill(head.place(under, 0.01), mix(flushed(identity.skin), INK, 0.4), 0.6)


def _draw_ball(canvas: Canvas, head: Head, side: int) -> None:
    identity, moment = head.identity, head.moment
    x, y = eye_centre(head, side)
    size = identity.eye_size
    canvas.fill(head.place(ellipse(x, y, 0.3 * size, 0.3 * size)), WHITE)
    x += 0.075 * size * moment.gaze_x
    y += 0.045 * size * moment.gaze_y - 0.01
    radius = 0.122 * size
    canvas.fill(head.place(ellipse(x, y, radius, radius)), darker(identity.eyes, 0.62))
    canvas.fill(head.place(ellipse(x, y + 0.012, 0.82 * radius, 0.82 * radius)), identity.eyes)
    canvas.fill(head.place(ellipse(x, y, 0.52 * radius, 0.52 * radius)), INK)
    # The lid's shadow on the eyeball, then the catchlight.
    lid = ellipse(eye_centre(head, side)[0], EYE_LINE - 0.155 * size, 0.24 * size, 0.075 * size)
    canvas.fill(head.place(lid), INK, 0.22)
    canvas.fill(head.place(ellipse(x - 0.04 * size, y - 0.045 * size, 0.032 * size, 0.032 * size, 16)), (255, 255, 255))


def draw_brow(canvas: Canvas, head: Head, side: int) -> None:
    """Draw the brow on a side (-1 or 1)."""
    identity, moment = head.identity, head.moment
    u = np.linspace(-1, 1, 9)  # from the inner to the outer end
    x = side * (identity.eye_spacing + 0.015 + 0.25 * u)
    lift = 0.10 * moment.brows
    y = BROW - lift - 0.055 * (1 - (u - 0.25) ** 2) - identity.brow_tilt * u + 0.03 * min(moment.brows, 0.0) * u
    thick = identity.brow * (0.95 - 0.45 * u) * np.minimum(1, 4 * (1.02 - np.abs(u))) * 0.62
    edge = np.concatenate([np.stack([x, y - thick], 1), np.stack([x, y + thick], 1)[::-1]])
    colour = darker(identity.hair_colour, 0.72)
    if identity.hair in ("scarf", "beanie"):
        colour = darker(flushed(identity.skin), 0.42)
    canvas.fill(head.place(edge, 0.03), colour)

"""Drawing of the mouth."""

from __future__ import annotations

from functools import partial

import numpy as np

from models.synthetic.chroma import TEETH, TONGUE, WINE, flushed
from models.synthetic.head import MOUTH_LINE, Head
from models.synthetic.paint import Canvas, Points, darker, ellipse, smooth

__all__ = ["draw_mouth", "mouth_corners"]

_U = np.linspace(-1, 1, 17)
_ARCH = 1 - _U**2
_BULGE = np.sqrt(np.maximum(_ARCH, 0))


def mouth_corners(head: Head) -> Points:
    """Return the left and the right corner (2, 2), as seen from the front."""
    moment = head.moment
    reach = 0.33 * head.identity.mouth_width * (1 + 0.26 * moment.width + 0.12 * moment.smile - 0.06 * moment.mouth)
    y = MOUTH_LINE - 0.02 - 0.13 * moment.smile + 0.05 * moment.mouth
    return np.array([(-reach, y), (reach, y)])


def draw_mouth(canvas: Canvas, head: Head) -> None:
    """Draw the lips and, if the mouth is open, teeth and tongue."""
    identity, moment = head.identity, head.moment
    left, right = mouth_corners(head)
    across = left[0] + (right[0] - left[0]) * (_U + 1) / 2
    gap = 0.36 * moment.mouth
    # A smile raises the corners and bends the line between the lips.
    line = MOUTH_LINE + (left[1] - MOUTH_LINE) * _U**2
    # Rounded lips open upwards too and are full in every person; wide ones are thin and show the teeth.
    top = line - (0.10 - 0.20 * min(moment.width, 0.5)) * gap * _ARCH
    low = line + 0.90 * gap * _BULGE * (0.35 + 0.65 * _ARCH)
    bow = 1 - 0.30 * np.exp(-((_U / 0.2) ** 2))
    fullness = identity.lip_fullness * (1 - 0.35 * moment.width)
    upper = top - 0.088 * fullness * _ARCH**0.7 * bow
    lower = low + 0.115 * fullness * _BULGE * (0.5 + 0.5 * _ARCH)

    def curve(y: Points) -> Points:
        return smooth(np.stack([across, y], axis=1), closed=False, each=3)

    lips = np.concatenate([curve(upper), curve(lower)[::-1]])
    shadow = lips * (0.62, 1) + (0, 0.075)
    canvas.fill(head.place(shadow, 0.0), flushed(identity.skin), 0.28)
    canvas.fill(head.place(lips, 0.03), identity.lips)
    canvas.fill(head.place(np.concatenate([curve(upper), curve(top)[::-1]]), 0.03), darker(identity.lips, 0.86))
    shine = np.concatenate([curve(low + 0.3 * (lower - low)), curve(low + 0.62 * (lower - low))[::-1]]) * (0.55, 1)
    canvas.fill(head.place(shine, 0.05), (255, 255, 255), 0.16)
    inside = np.concatenate([curve(top - 0.006), curve(low + 0.014 * _ARCH)[::-1]])
    canvas.fill(head.place(inside, 0.03), WINE)
    if moment.mouth > 0.08:
        canvas.inside(head.place(inside, 0.03), partial(_draw_inside, head=head, gap=gap))


def _draw_inside(canvas: Canvas, head: Head, gap: float) -> None:
    (left, y), (right, _) = mouth_corners(head)
    wide = (right - left) / 2
    canvas.fill(head.place(ellipse(0, MOUTH_LINE + 1.02 * gap, 0.62 * wide, 0.42 * gap), -0.02), TONGUE)
    rim = MOUTH_LINE + 0.02 + 0.10 * gap
    bottom = rim + 0.05
    teeth = np.array(
        [(-0.9 * wide, y - 0.2), (0.9 * wide, y - 0.2), (0.8 * wide, rim), (0.4 * wide, bottom), (0.0, bottom + 0.008),
         (-0.4 * wide, bottom), (-0.8 * wide, rim)]
    )  # fmt: skip
    canvas.fill(head.place(teeth, 0.0), TEETH)

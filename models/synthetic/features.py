"""Drawing of the facial features, and the keypoints of a face."""

from __future__ import annotations

import numpy as np

from models.synthetic.chroma import flushed
from models.synthetic.eyes import draw_brow, draw_eye, eye_centre
from models.synthetic.head import Head
from models.synthetic.mouth import draw_mouth, mouth_corners
from models.synthetic.paint import Canvas, Points, darker, ellipse, mix, smooth

__all__ = ["draw_features", "keypoints"]


def keypoints(head: Head) -> Points:
    """Return the keypoints (5, 2) in pixels: the eyes, the tip of the nose and the corners of the mouth."""
    eyes = np.array([eye_centre(head, -1), eye_centre(head, 1)])
    return head.project(np.concatenate([head.on(eyes), _nose_tip(head), head.on(mouth_corners(head), 0.02)]))


def draw_features(canvas: Canvas, head: Head) -> None:
    """Draw cheeks, eyes, brows, nose and mouth."""
    _draw_cheeks(canvas, head)
    for side in (-1, 1):
        draw_eye(canvas, head, side)
        draw_brow(canvas, head, side)
    _draw_nose(canvas, head)
    draw_mouth(canvas, head)


def _draw_cheeks(canvas: Canvas, head: Head) -> None:
    identity = head.identity
    blush = mix(flushed(identity.skin), identity.lips, 0.25)
    for side in (-1, 1):
        x, y = side * 0.55, 0.45 - 0.03 * head.moment.smile
        for radius in (0.25, 0.19, 0.13):
            canvas.fill(head.place(ellipse(x, y, radius, 0.72 * radius)), blush, 0.11 * identity.blush)
        if identity.freckles:
            for dx, dy in ((-0.13, -0.07), (0.0, -0.10), (0.12, -0.05), (-0.06, 0.01), (0.07, 0.03)):
                spot = ellipse(x + dx, y + dy - 0.05, 0.017, 0.017, 8)
                canvas.fill(head.place(spot), darker(flushed(identity.skin), 0.85), 0.7)


def _nose_tip(head: Head) -> Points:
    """Return the position (1, 3) of the tip of the nose."""
    return head.on(np.array([(0.0, 0.42 * head.identity.nose_length)]), 0.2)


def _draw_nose(canvas: Canvas, head: Head) -> None:
    identity = head.identity
    tip = 0.42 * identity.nose_length
    wing = 0.165 * identity.nose_width
    shade = flushed(identity.skin)
    side = 1  # the light comes from the picture's left
    bridge = head.on(np.array([(side * 0.075, -0.12), (side * 0.085, 0.1)]), 0.07)
    flank = head.on(np.array([(side * 0.10 * identity.nose_width, tip - 0.09), (side * wing, tip + 0.055)]), 0.1)
    back = head.on(np.array([(side * 0.13, -0.1), (side * (wing + 0.03), tip - 0.1), (side * (wing + 0.02), tip)]))
    flat = np.concatenate([bridge, flank, back[::-1]])
    canvas.fill(head.project(smooth(flat, each=3)), shade, 0.30)
    # The underside from wing to wing.
    under = np.concatenate(
        [
            head.on(np.array([(-wing, tip + 0.035)]), 0.06),
            head.on(np.array([(-0.09 * identity.nose_width, tip + 0.035)]), 0.16),
            head.on(np.array([(0.0, tip + 0.065)]), 0.18),
            head.on(np.array([(0.09 * identity.nose_width, tip + 0.035)]), 0.16),
            head.on(np.array([(wing, tip + 0.035)]), 0.06),
            head.on(np.array([(0.6 * wing, tip + 0.115)]), 0.06),
            head.on(np.array([(0.0, tip + 0.125)]), 0.09),
            head.on(np.array([(-0.6 * wing, tip + 0.115)]), 0.06),
        ]
    )
    canvas.fill(head.project(smooth(under, each=3)), darker(shade, 0.92), 0.85)
    light = head.project(head.on(ellipse(-0.035, tip - 0.06, 0.042, 0.05, 14), 0.19))
    canvas.fill(light, (255, 255, 255), 0.20)

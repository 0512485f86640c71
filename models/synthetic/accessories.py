"""Drawing of ears, earrings, beards and glasses."""

from __future__ import annotations

import numpy as np

from models.synthetic.chroma import WHITE, flushed
from models.synthetic.eyes import eye_centre
from models.synthetic.head import CHIN, EYE_LINE, MOUTH_LINE, Head
from models.synthetic.paint import Canvas, Points, darker, ellipse, mix, smooth

__all__ = ["draw_beard", "draw_ear", "draw_glasses"]


def draw_ear(canvas: Canvas, head: Head, side: int) -> None:
    """Draw the ear on a side (-1 or 1), attached where the cheek ends."""
    identity = head.identity
    size = identity.ears
    hinge = head.shell(np.array([0.12]), np.array([90.0 * side]))[0]
    angle = np.linspace(-1.75, 1.9, 12)
    out = np.maximum(np.cos(angle), -0.35)
    rim = np.stack([out * (1 + 0.18 * np.sin(-angle)), np.sin(angle)], axis=1) * (0.27 * size, 0.31 * size)

    def ear(share: float) -> Points:
        flat = rim * share
        points = hinge + np.stack([side * 0.72 * flat[:, 0], flat[:, 1], -0.75 * np.maximum(flat[:, 0], 0)], axis=1)
        return head.project(smooth(points, each=3))

    skin = mix(identity.skin, flushed(identity.skin), 0.75)
    canvas.fill(ear(1.0), skin)
    canvas.fill(ear(0.6), darker(flushed(identity.skin), 0.86))
    if identity.earrings:
        lobe = hinge + np.array([[side * 0.10, 0.31 * size + 0.07, -0.05]])
        x, y = head.project(lobe)[0]
        canvas.fill(ellipse(x, y, 0.075 * head.unit, 0.075 * head.unit, 16), (236, 206, 96))
        gleam = 0.025 * head.unit
        canvas.fill(ellipse(x - gleam, y - gleam, gleam, gleam, 10), WHITE)


def draw_beard(canvas: Canvas, head: Head) -> None:
    """Draw the beard; call it before the mouth is drawn, so that the lips cover it."""
    identity = head.identity
    if identity.beard == "none":
        return
    colour = darker(identity.hair_colour, 0.82)
    if identity.hair in ("scarf", "beanie"):
        colour = darker(flushed(identity.skin), 0.42)
    opacity = 0.30 if identity.beard == "stubble" else 1.0
    if identity.beard in ("stubble", "full"):
        swell = 0.0 if identity.beard == "stubble" else 0.05
        # On the side that turns away, the beard ends at the visible edge of the face, not at the hidden ear.
        azimuth = np.clip(np.linspace(-97, 97, 25), -90 - head.moment.yaw - 4, 90 - head.moment.yaw + 4)
        y = np.interp(np.abs(azimuth), [0, 18, 34, 60, 80, 97], [0.585, 0.60, 0.70, 0.62, 0.30, 0.10])
        edge = head.shell(y, azimuth, swell)
        end = CHIN
        down = np.linspace(0.35, end, 9)
        right = head.shell(down, np.full(9, azimuth[-1]), swell)
        left = head.shell(down[::-1], np.full(9, azimuth[0]), swell)
        chin = head.shell(np.full(7, end - 0.02), np.linspace(60, -60, 7), swell)
        canvas.fill(head.project(np.concatenate([edge, right, chin, left])), colour, opacity)
    if identity.beard == "goatee":
        top = MOUTH_LINE + 0.15 + 0.34 * head.moment.mouth
        low = CHIN + 0.15 * head.moment.mouth
        middle = 0.5 * (top + low)
        tuft = np.array([(0, top), (0.17, top + 0.04), (0.24, middle), (0.13, low), (-0.13, low), (-0.24, middle),
                         (-0.17, top + 0.04)])  # fmt: skip
        canvas.fill(head.place(smooth(tuft, each=4), 0.03), colour)
    if identity.beard in ("moustache", "full", "goatee"):
        under = 0.42 * identity.nose_length + 0.155
        drawn = under - 0.05 * head.moment.smile
        wing = np.array([(0, under), (0.16, under - 0.005), (0.34, drawn + 0.13), (0.40, drawn + 0.22),
                         (0.2, under + 0.14), (0, under + 0.11)])  # fmt: skip
        both = np.concatenate([wing, (wing * (-1, 1))[::-1][1:-1]])
        canvas.fill(head.place(smooth(both, each=4), 0.06), darker(colour, 0.94))


def draw_glasses(canvas: Canvas, head: Head) -> None:
    """Draw the glasses, in front of everything else on the face."""
    identity = head.identity
    if identity.glasses == "none":
        return
    colour, width = identity.glasses_colour, 0.045 * head.unit
    bend = 2.0 if identity.glasses == "round" else 3.4
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / bend) * 0.325
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / bend) * (0.31 if identity.glasses == "round" else 0.26)
    for side in (-1, 1):
        centre_x, centre_y = eye_centre(head, side)
        rim = np.stack([centre_x + x, centre_y + 0.02 + y, np.full(36, 1.18)], axis=1)
        lens = head.project(rim)
        canvas.fill(lens, (255, 255, 255), 0.10)
        canvas.stroke(lens, colour, width, closed=True)
        temple = np.array([[centre_x + side * 0.32, EYE_LINE - 0.03, 1.16], [side * 1.0, EYE_LINE - 0.03, 0.1]])
        if head.depth((side, 0.0, 0.25)) > -0.25:
            canvas.stroke(head.project(temple), colour, width)
    inner = identity.eye_spacing - 0.32
    bridge = np.array([[-inner, 0.0, 1.18], [0.0, -0.035, 1.22], [inner, 0.0, 1.18]])
    canvas.stroke(head.project(smooth(bridge, closed=False)), colour, width)

"""What a face shows: eyes, brows, nose, mouth, cheeks, ears, beard and glasses."""

from __future__ import annotations

from functools import partial

import numpy as np

from models.miniature.chroma import INK, TEETH, TONGUE, WHITE, WINE, flushed
from models.miniature.head import BROW, CHIN, EYE_LINE, MOUTH_LINE, Head
from models.miniature.paint import Canvas, Points, darker, ellipse, mix, smooth

__all__ = ["draw_beard", "draw_ear", "draw_features", "draw_glasses", "keypoints"]

_U = np.linspace(-1, 1, 17)
_ARCH = 1 - _U**2
_BULGE = np.sqrt(np.maximum(_ARCH, 0))


def _eye_centre(head: Head, side: int) -> tuple[float, float]:
    return side * head.identity.eye_spacing, EYE_LINE


def _mouth_corners(head: Head) -> Points:
    moment = head.moment
    reach = 0.33 * head.identity.mouth_width * (1 + 0.20 * moment.width + 0.12 * moment.smile - 0.06 * moment.mouth)
    y = MOUTH_LINE - 0.02 - 0.13 * moment.smile + 0.05 * moment.mouth
    return np.array([(-reach, y), (reach, y)])


def _nose_tip(head: Head) -> Points:
    """(1, 3)."""
    return head.on(np.array([(0.0, 0.42 * head.identity.nose_length)]), 0.2)


def keypoints(head: Head) -> Points:
    """(5, 2) pixels: the eyes, the tip of the nose and the corners of the mouth."""
    eyes = np.array([_eye_centre(head, -1), _eye_centre(head, 1)])
    return head.project(np.concatenate([head.on(eyes), _nose_tip(head), head.on(_mouth_corners(head), 0.02)]))


def draw_features(canvas: Canvas, head: Head) -> None:
    """Everything on the skin but beard and glasses."""
    _draw_cheeks(canvas, head)
    for side in (-1, 1):
        _draw_eye(canvas, head, side)
        _draw_brow(canvas, head, side)
    _draw_nose(canvas, head)
    _draw_mouth(canvas, head)


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


def _draw_eye(canvas: Canvas, head: Head, side: int) -> None:
    identity, moment = head.identity, head.moment
    opening = float(np.clip(moment.left if side < 0 else moment.right, 0, 1))
    x, y = _eye_centre(head, side)
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

    # A lid over the ball: a little shade above the lashes.
    lid = np.concatenate([crease, upper[::-1]])
    canvas.fill(head.place(lid), flushed(identity.skin), 0.55)
    if opening > 0.04:
        canvas.inside(head.place(outline, 0.01), partial(_draw_ball, head=head, side=side))
    # The lashes, thicker outside; one dark line when the eye is closed.
    thick = 0.05 * size * (0.55 + 0.45 * side * _U) * (0.35 + 0.65 * _BULGE) + 0.012
    lash_top = np.stack([across + 0.012 * side, y + top - thick * (1.0 - 0.35 * (1 - opening))], axis=1)
    lash_low = np.stack([across + 0.012 * side, y + top + (0.018 + 0.02 * (1 - opening)) * _BULGE], axis=1)
    canvas.fill(head.place(np.concatenate([lash_top, lash_low[::-1]]), 0.015), INK)
    if opening > 0.2:
        under = np.concatenate([lower, lower[::-1] + np.array([0, 0.02])])
        canvas.fill(head.place(under, 0.01), mix(flushed(identity.skin), INK, 0.4), 0.6)


def _draw_ball(canvas: Canvas, head: Head, side: int) -> None:
    identity, moment = head.identity, head.moment
    x, y = _eye_centre(head, side)
    size = identity.eye_size
    canvas.fill(head.place(ellipse(x, y, 0.3 * size, 0.3 * size)), WHITE)
    x += 0.075 * size * moment.gaze_x
    y += 0.045 * size * moment.gaze_y - 0.01
    radius = 0.122 * size
    canvas.fill(head.place(ellipse(x, y, radius, radius)), darker(identity.eyes, 0.62))
    canvas.fill(head.place(ellipse(x, y + 0.012, 0.82 * radius, 0.82 * radius)), identity.eyes)
    canvas.fill(head.place(ellipse(x, y, 0.52 * radius, 0.52 * radius)), INK)
    # The lid's shadow on the ball, then the light that makes it alive.
    lid = ellipse(_eye_centre(head, side)[0], EYE_LINE - 0.155 * size, 0.24 * size, 0.075 * size)
    canvas.fill(head.place(lid), INK, 0.22)
    canvas.fill(head.place(ellipse(x - 0.04 * size, y - 0.045 * size, 0.032 * size, 0.032 * size, 16)), (255, 255, 255))


def _draw_brow(canvas: Canvas, head: Head, side: int) -> None:
    identity, moment = head.identity, head.moment
    u = np.linspace(-1, 1, 9)  # from the inner end to the outer
    x = side * (identity.eye_spacing + 0.015 + 0.25 * u)
    lift = 0.10 * moment.brows
    y = BROW - lift - 0.055 * (1 - (u - 0.25) ** 2) - identity.brow_tilt * u + 0.03 * min(moment.brows, 0.0) * u
    thick = identity.brow * (0.95 - 0.45 * u) * np.minimum(1, 4 * (1.02 - np.abs(u))) * 0.62
    edge = np.concatenate([np.stack([x, y - thick], 1), np.stack([x, y + thick], 1)[::-1]])
    colour = darker(identity.hair_colour, 0.72)
    if identity.hair in ("scarf", "beanie"):
        colour = darker(flushed(identity.skin), 0.42)
    canvas.fill(head.place(edge, 0.03), colour)


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


def _draw_mouth(canvas: Canvas, head: Head) -> None:
    identity, moment = head.identity, head.moment
    left, right = _mouth_corners(head)
    across = left[0] + (right[0] - left[0]) * (_U + 1) / 2
    gap = 0.36 * moment.mouth
    # Corners drawn up by a smile bend the line between the lips.
    line = MOUTH_LINE + (left[1] - MOUTH_LINE) * _U**2
    top = line - 0.10 * gap * _ARCH
    low = line + 0.90 * gap * _BULGE * (0.35 + 0.65 * _ARCH)
    bow = 1 - 0.30 * np.exp(-((_U / 0.2) ** 2))
    upper = top - 0.088 * identity.lip_fullness * _ARCH**0.7 * bow
    lower = low + 0.115 * identity.lip_fullness * _BULGE * (0.5 + 0.5 * _ARCH)

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
        canvas.inside(head.place(inside, 0.03), partial(_draw_inner_mouth, head=head, gap=gap))


def _draw_inner_mouth(canvas: Canvas, head: Head, gap: float) -> None:
    (left, y), (right, _) = _mouth_corners(head)
    wide = (right - left) / 2
    canvas.fill(head.place(ellipse(0, MOUTH_LINE + 1.02 * gap, 0.62 * wide, 0.42 * gap), -0.02), TONGUE)
    rim = MOUTH_LINE + 0.02 + 0.10 * gap
    bottom = rim + 0.05
    teeth = np.array(
        [(-0.9 * wide, y - 0.2), (0.9 * wide, y - 0.2), (0.8 * wide, rim), (0.4 * wide, bottom), (0.0, bottom + 0.008),
         (-0.4 * wide, bottom), (-0.8 * wide, rim)]
    )  # fmt: skip
    canvas.fill(head.place(teeth, 0.0), TEETH)


def draw_ear(canvas: Canvas, head: Head, side: int) -> None:
    """One ear, hinged where the cheek ends."""
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
    """Below the mouth is drawn, so that the lips lie on it."""
    identity = head.identity
    if identity.beard == "none":
        return
    colour = darker(identity.hair_colour, 0.82)
    if identity.hair in ("scarf", "beanie"):
        colour = darker(flushed(identity.skin), 0.42)
    opacity = 0.30 if identity.beard == "stubble" else 1.0
    if identity.beard in ("stubble", "full"):
        swell = 0.0 if identity.beard == "stubble" else 0.05
        # Where the face turns away the beard ends at the horizon, not at the ear behind it.
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
    """In front of everything on the face."""
    identity = head.identity
    if identity.glasses == "none":
        return
    colour, width = identity.glasses_colour, 0.045 * head.unit
    bend = 2.0 if identity.glasses == "round" else 3.4
    angle = np.linspace(0, 2 * np.pi, 36, endpoint=False)
    x = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** (2 / bend) * 0.325
    y = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** (2 / bend) * (0.31 if identity.glasses == "round" else 0.26)
    for side in (-1, 1):
        centre_x, centre_y = _eye_centre(head, side)
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

"""Drawing of hair, scarves and hats, from back to front."""

from __future__ import annotations

import cv2
import numpy as np

from models.synthetic.head import HAIRLINE, Head
from models.synthetic.paint import Canvas, Points, darker, ellipse, smooth

__all__ = ["draw_back", "draw_cap", "draw_front", "hull", "skin"]

_SWELL = {
    "bald": 0.0, "buzz": 0.02, "short": 0.085, "quiff": 0.07, "spiky": 0.08, "curly": 0.12, "afro": 0.30, "bob": 0.13,
    "long": 0.11, "wavy": 0.13, "bun": 0.06, "ponytail": 0.07, "scarf": 0.12, "beanie": 0.13,
}  # fmt: skip
_LONG = ("bob", "long", "wavy")
_UNDER_HAT = (58, 42, 22)


def hull(points: Points) -> Points:
    """Return the convex hull of points (N, 2)."""
    return np.asarray(cv2.convexHull(points.astype(np.float32))[:, 0], dtype=np.float64)


def skin(head: Head) -> Points:
    """Return points (N, 3) that cover the skin of face and, if bald, skull."""
    if head.identity.hair == "bald":
        return np.concatenate([head.face(), head.cap(0.2, back=0.45)])
    return head.face({"scarf": -0.66, "beanie": -0.70, "buzz": -0.84}.get(head.identity.hair, HAIRLINE))


def draw_back(canvas: Canvas, head: Head) -> None:
    """Draw the hair behind head and neck."""
    identity = head.identity
    colour = darker(identity.hair_colour, 0.74)
    form = identity.hair
    if form in _LONG:
        length = {"bob": 1.12, "long": 2.25, "wavy": 2.1}[form]
        wide = {"bob": 1.16, "long": 1.06, "wavy": 1.22}[form]
        top = head.cap(0.4, _SWELL[form])
        ring = np.deg2rad(np.arange(0, 360, 24.0))
        ends = np.stack([wide * np.cos(ring), np.full(len(ring), length), -0.45 + 0.55 * np.sin(ring)], axis=1)
        outline = hull(head.project(np.concatenate([top, ends])))
        canvas.fill(_wavy(outline, head, 0.07) if form == "wavy" else outline, colour)
    elif form == "afro":
        centre = head.project(np.array([[0.0, -0.52, -0.2]]))[0]
        canvas.fill(_puffs(centre, 1.40 * head.unit, 1.22 * head.unit, head), colour)
    elif form == "bun":
        x, y = head.project(np.array([[0.0, -1.62, -0.35]]))[0]
        canvas.fill(ellipse(x, y, 0.46 * head.unit, 0.42 * head.unit), colour)
        canvas.fill(ellipse(x, y - 0.05 * head.unit, 0.38 * head.unit, 0.32 * head.unit), identity.hair_colour)
    elif form == "ponytail":
        side = identity.parting
        tail = np.array([(0.1, -1.0, -0.9), (0.55, -1.62, -0.9), (1.2, -1.5, -0.9), (1.62, -0.7, -0.8),
                         (1.55, 0.2, -0.7), (1.22, 1.05, -0.6), (1.12, 0.3, -0.7), (0.95, -0.3, -0.8)])  # fmt: skip
        canvas.fill(head.project(smooth(tail * (side, 1, 1))), colour)
    elif form == "scarf":
        top = head.cap(0.7, _SWELL[form])
        body = head.body(np.array([(-1.15, 1.9), (1.15, 1.9), (-1.0, 2.2), (1.0, 2.2)]))
        canvas.fill(hull(np.concatenate([head.project(top), body])), colour)


def draw_cap(canvas: Canvas, head: Head) -> None:
    """Draw the hair on the skull; call it before the face is drawn, which covers it."""
    identity = head.identity
    form = identity.hair
    if form == "bald":
        return
    colour = identity.hair_colour
    if form == "buzz":
        colour = darker(colour, 0.9)
    low, back = (0.95, 0.2) if form == "scarf" else (-0.40, 0.0) if form == "beanie" else (0.05, 0.55)
    if form == "beanie":
        under = hull(head.project(head.cap(0.15, 0.05, 0.4)))
        canvas.fill(under, _UNDER_HAT)
    outline = hull(head.project(head.cap(low, _SWELL[form], back)))
    if form == "curly":
        outline = _wavy(outline, head, 0.10)
    canvas.form(outline, colour, 0.09 * head.unit)
    if form == "afro":
        centre = head.project(np.array([[0.0, -0.62, 0.0]]))[0]
        canvas.form(_puffs(centre, 1.30 * head.unit, 1.08 * head.unit, head), colour, 0.09 * head.unit)
    if form == "spiky":
        canvas.fill(_spikes(head), colour)
    for side in _locks(head, near=False):
        _draw_lock(canvas, head, side)


def draw_front(canvas: Canvas, head: Head) -> None:
    """Draw the hair over forehead and cheeks."""
    identity = head.identity
    form, side, colour = identity.hair, identity.parting, identity.hair_colour
    flip = np.array([side, 1.0])
    light = darker(colour, 1.16)
    if form == "short":
        sweep = np.array([(-0.80, -0.62), (-0.62, -0.86), (0.0, -0.70), (0.55, -0.62), (0.86, -0.42), (0.90, -0.75),
                          (0.6, -1.1), (0.0, -1.24), (-0.6, -1.08)])  # fmt: skip
        canvas.fill(head.place(smooth(sweep * flip), 0.10), colour)
        _strand(canvas, head, np.array([(-0.5, -0.98), (0.0, -0.93), (0.55, -0.80)]) * flip, light)
    elif form == "quiff":
        wave = np.array([(-0.84, -0.72, 0.72), (-0.40, -0.78, 1.10), (0.15, -0.84, 1.14), (0.84, -0.70, 0.72),
                         (0.98, -1.20, 0.55), (0.55, -1.66, 0.75), (-0.15, -1.74, 0.85), (-0.72, -1.46, 0.75),
                         (-0.98, -1.10, 0.55)])  # fmt: skip
        canvas.fill(head.project(smooth(wave * (side, 1, 1))), colour)
        crest = np.array([(-0.5, -1.22, 1.0), (0.0, -1.42, 1.0), (0.6, -1.40, 0.9)])
        _line(canvas, head, crest * (side, 1, 1), light)
    elif form in ("spiky", "curly", "afro"):
        teeth = np.linspace(-0.80, 0.80, 9)
        y = np.where(np.arange(9) % 2 == 0, -0.80, -0.66) + 0.16 * teeth**2
        fringe = np.concatenate([np.stack([teeth, y], 1), [(0.85, -0.9), (0.4, -1.16), (-0.4, -1.16), (-0.85, -0.9)]])
        edge = fringe if form == "spiky" else smooth(fringe, each=4)
        canvas.fill(head.place(edge, 0.10), colour)
    elif form == "bob":
        fringe = np.array([(-0.92, -0.42), (-0.45, -0.47), (0.0, -0.49), (0.45, -0.47), (0.92, -0.42), (0.86, -0.9),
                           (0.45, -1.2), (-0.45, -1.2), (-0.86, -0.9)])  # fmt: skip
        canvas.fill(head.place(smooth(fringe), 0.12), colour)
    elif form in ("long", "wavy"):
        part = -0.26 * side
        for way in (-1, 1):
            middle = 0.45 * part + 0.42 * way
            curtain = np.array([(part - 0.08 * way, -1.28), (part - 0.02 * way, -0.94), (middle, -0.76),
                                (0.70 * way, -0.48), (0.93 * way, -0.05), (0.97 * way, -0.5),
                                (0.80 * way, -1.0)])  # fmt: skip
            canvas.fill(head.place(smooth(curtain), 0.11), colour)
    elif form == "beanie":
        _draw_band(canvas, head)
    for way in _locks(head, near=True):
        _draw_lock(canvas, head, way)
    if form in ("bob", "long", "wavy", "bun", "ponytail"):
        _strand(canvas, head, np.array([(-0.62, -0.86), (-0.30, -1.02), (0.10, -1.06)]) * (-side, 1), light)


def _locks(head: Head, near: bool) -> list[int]:
    """Return the sides whose lock is in front of the face (`near`) or behind it."""
    sides = (-1, 1) if head.identity.hair in _LONG else ()
    return [side for side in sides if (head.depth((side, 0.0, 0.3)) >= 0) == near]


def _draw_lock(canvas: Canvas, head: Head, side: int) -> None:
    """Draw the lock in front of an ear, down over the shoulder."""
    form = head.identity.hair
    # On the side that turns away, the lock recedes gradually, so that it does not jump behind the face.
    away = min(max(-3.5 * head.depth((side, 0.0, 0.0)), 0.0), 1.0)
    length = {"bob": 1.02, "long": 2.15, "wavy": 2.0}[form]
    bend = 0.10 if form == "wavy" else 0.03
    inner = [(0.90, -0.60, 0.50), (0.97, 0.0, 0.34), (0.92 + bend, 0.5, 0.28), (0.86 - bend, 1.0, 0.24)]
    outer = [(1.12, 1.0, -0.1), (1.20, 0.4, -0.15), (1.15, -0.3, -0.05), (1.02, -0.8, 0.15)]
    if form == "bob":
        inner[3], outer[0] = (0.80, length, 0.25), (1.20, length, -0.15)
    else:
        inner += [(0.92 + bend, 1.55, 0.2), (0.86, length, 0.2)]
        outer = [(1.12, length, -0.1), (1.14 + bend, 1.55, -0.1), *outer]
    points = np.array(inner + outer)
    points[: len(inner)] += away * np.array([0.16, 0.0, -0.40])
    points *= (side, 1, 1)
    canvas.fill(head.project(smooth(points, each=5)), darker(head.identity.hair_colour, 0.94))


def _draw_band(canvas: Canvas, head: Head) -> None:
    """Draw the rolled brim of a beanie."""
    azimuth = np.linspace(-92, 92, 19) - head.moment.yaw  # the half that faces the viewer
    low = head.shell(np.full(19, -0.64), azimuth, 0.12)
    high = head.shell(np.full(19, -0.94), azimuth[::-1], 0.15)
    canvas.fill(head.project(np.concatenate([low, high])), darker(head.identity.hair_colour, 0.80))


def _strand(canvas: Canvas, head: Head, points: Points, colour: tuple[int, int, int]) -> None:
    curve = smooth(points, closed=False, each=5)
    swell = 0.04 * np.sin(np.linspace(0, np.pi, len(curve)))[:, None] * (0, 1)
    canvas.fill(head.place(np.concatenate([curve - swell, (curve + swell)[::-1]]), 0.12), colour, 0.7)


def _line(canvas: Canvas, head: Head, points: Points, colour: tuple[int, int, int]) -> None:
    curve = smooth(points, closed=False, each=5)
    swell = 0.045 * np.sin(np.linspace(0, np.pi, len(curve)))[:, None] * (0, 1, 0)
    canvas.fill(head.project(np.concatenate([curve - swell, (curve + swell)[::-1]])), colour, 0.7)


def _wavy(outline: Points, head: Head, depth: float) -> Points:
    """Return the outline with curls of hair along it."""
    steps = np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    count = max(round(along[-1] / (0.42 * head.unit)), 8)
    closed = np.concatenate([outline, outline[:1]])
    at = np.linspace(0, along[-1], 6 * count, endpoint=False)
    even = np.stack([np.interp(at, along, closed[:, 0]), np.interp(at, along, closed[:, 1])], axis=1)
    outward = even - even.mean(axis=0)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    lump = np.abs(np.sin(np.pi * count * at / along[-1]))[:, None]
    return np.asarray(even + outward * lump * depth * head.unit)


def _puffs(centre: Points, rx: float, ry: float, head: Head) -> Points:
    """Return the outline of a cloud around a point, which turns with the head."""
    angle = np.linspace(0, 2 * np.pi, 144, endpoint=False)
    lump = 0.075 * np.abs(np.sin(9 * angle + np.deg2rad(head.moment.roll)))
    return np.asarray(centre + np.stack([rx * (1 + lump) * np.cos(angle), ry * (1 + lump) * np.sin(angle)], axis=1))


def _spikes(head: Head) -> Points:
    angle = np.linspace(-2.75, -0.39, 15)
    radius = np.where(np.arange(15) % 2 == 0, 0.95, 1.32)
    points = np.stack([radius * np.cos(angle), -0.35 + radius * 1.12 * np.sin(angle), np.full(15, 0.15)], axis=1)
    return head.project(points)

"""The synthetic world: people drawn from seeds, who turn their heads, speak and blink.

The ground truth is exact: `render` also returns the face's box and keypoints. The same seeds give the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from models.synthetic.accessories import draw_beard, draw_ear, draw_glasses
from models.synthetic.bust import backdrop, draw_bust
from models.synthetic.features import draw_features, keypoints
from models.synthetic.hair import draw_back, draw_cap, draw_front, hull, skin
from models.synthetic.head import Head
from models.synthetic.paint import Canvas
from models.synthetic.performance import Moment, Performance
from models.synthetic.person import Identity
from troupe import Face, Picture

__all__ = ["CLIP_SIZE", "PORTRAIT_SIZE", "draw_clip", "draw_portrait", "locate", "render"]

PORTRAIT_SIZE = (256, 320)
CLIP_SIZE = (192, 192)


def render(identity: Identity, moment: Moment, size: tuple[int, int]) -> tuple[Picture, Face]:
    """Draw a person at one moment.

    Args:
        size: (width, height) in pixels.

    Returns:
        picture: (height, width, 3).
        face: the face. Its box reaches from hairline to chin and from one visible side of the face to the other; its
            keypoints are the eyes, the tip of the nose and the corners of the mouth. Both may be outside the picture.
    """
    head = Head(identity, moment, size)
    canvas = Canvas.over(backdrop(identity, size))
    draw_back(canvas, head)
    draw_bust(canvas, head)
    near = [side for side in (-1, 1) if head.depth((side, 0, 0)) > -0.02]
    covered = identity.hair in ("bob", "long", "wavy", "scarf", "afro")
    if not covered:
        for side in {-1, 1} - set(near):
            draw_ear(canvas, head, side)
    draw_cap(canvas, head)
    outline = hull(head.project(skin(head)))
    canvas.form(outline, identity.skin, 0.075 * head.unit)
    if not covered:
        for side in near:
            draw_ear(canvas, head, side)
    draw_beard(canvas, head)
    draw_features(canvas, head)
    draw_front(canvas, head)
    draw_glasses(canvas, head)
    return canvas.finished(), _face(head)


def locate(identity: Identity, moment: Moment, size: tuple[int, int]) -> Face:
    """Return the face that `render` returns, without drawing the picture."""
    return _face(Head(identity, moment, size))


def draw_portrait(seed: int, size: tuple[int, int] = PORTRAIT_SIZE) -> tuple[Picture, Face]:
    """Draw the portrait of the person of a seed: facing the viewer, nearly straight, mouth closed."""
    rng = np.random.default_rng((seed, 0x90127))
    yaw, pitch, roll, smile, brows = rng.uniform((-9, -4, -4, 0.2, -0.1), (9, 4, 4, 0.8, 0.4)).tolist()
    moment = Moment(yaw=yaw, pitch=pitch, roll=roll, smile=smile, brows=brows, left=0.92, right=0.92)
    return render(Identity.from_seed(seed), moment, size)


def draw_clip(
    identity_seed: int,
    performance_seed: int,
    frames: int,
    rate: Fraction | float,
    size: tuple[int, int] = CLIP_SIZE,
) -> Iterator[tuple[Picture, Face]]:
    """Draw a person's performance, frame by frame; `synthesise_voice` makes its sound from the same seeds."""
    identity = Identity.from_seed(identity_seed)
    for moment in Performance.from_seed(performance_seed, frames, rate).moments:
        yield render(identity, moment, size)


def _face(head: Head) -> Face:
    outline = head.project(head.face())
    box = np.concatenate([outline.min(axis=0), outline.max(axis=0)])
    return Face(box.astype(np.float32), keypoints(head).astype(np.float32), 1.0)

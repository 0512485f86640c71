"""Reference boxes of a driving clip's crops: fixed, or moving slowly with the driver."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from troupe.errors import SettingsError
from troupe.faces import Floats, Track
from troupe.job import CROPS

__all__ = ["reference_boxes", "stabilise_keypoints"]

SMOOTHING_SIGMA = 10.0
"""Standard deviation, in frames, of the moving average of `follow`: it keeps a nod and removes a step."""


def reference_boxes(track: Track, crop: str) -> Floats:
    """Return the box that frames each frame's crops, scene by scene.

    `first` is the released geometry: the face box of the scene's first frame. `follow` is the moving average of the
    face box, for drivers who walk about or come nearer.

    Args:
        track: of the face.
        crop: one of `troupe.job.CROPS`.

    Returns:
        (F, 4) float32, x1, y1, x2, y2 in pixels of the frame.

    Raises:
        SettingsError: unknown crop mode.
    """
    if crop not in CROPS:
        raise SettingsError(f"crop is {crop!r}; use {' or '.join(CROPS)}")
    boxes = np.empty_like(track.boxes)
    for start, stop in pairwise([0, *track.cuts, len(track)]):
        if crop == "first":
            seen = np.flatnonzero(track.scores[start:stop] > 0)
            boxes[start:stop] = track.boxes[start + seen[0] if len(seen) else start]
        else:
            reach = 2 * int(3 * SMOOTHING_SIGMA) + 1
            scene = np.ascontiguousarray(track.boxes[start:stop])
            boxes[start:stop] = cv2.GaussianBlur(
                scene, (1, reach), 1, sigmaY=SMOOTHING_SIGMA, borderType=cv2.BORDER_REPLICATE
            )
    return boxes


def stabilise_keypoints(track: Track, boxes: Floats) -> Floats:
    """Return the keypoints as if the first frame's box framed every frame.

    Args:
        track: of the face.
        boxes: (F, 4), its `reference_boxes`.

    Returns:
        (F, 5, 2) float32; the keypoints themselves if the boxes are constant.
    """
    if (boxes == boxes[0]).all():
        return track.keypoints
    corners = boxes.reshape(-1, 2, 2).astype(np.float64)
    centres = corners.mean(axis=1, keepdims=True)
    sizes = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1)[:, None, None]
    moved = (track.keypoints - centres) * (sizes[0] / np.maximum(sizes, 1e-6)) + centres[0]
    return np.asarray(moved, dtype=np.float32)

"""IoU and non-maximum suppression of boxes (x1, y1, x2, y2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from troupe.faces import Floats

__all__ = ["iou", "non_max_suppression"]


def iou(box: Floats, boxes: Floats) -> NDArray[np.float64]:
    """Return the intersection over union of one box with each of several; 0 where both are empty.

    Args:
        box: (4,).
        boxes: (N, 4).

    Returns:
        (N,), 0..1.
    """
    one, many = box.astype(np.float64), boxes.astype(np.float64)
    sides = np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    united = (one[2:] - one[:2]).clip(min=0).prod() + (many[:, 2:] - many[:, :2]).clip(min=0).prod(axis=1) - shared
    return np.asarray(np.divide(shared, united, out=np.zeros_like(shared), where=united > 0), dtype=np.float64)


def non_max_suppression(boxes: Floats, scores: Floats, limit: float) -> list[int]:
    """Greedy non-maximum suppression: return the indices of the boxes to keep, best score first.

    `cv2.dnn.NMSBoxes` gives another result where boxes are empty: it takes the IoU of two empty boxes for 1.

    Args:
        boxes: (N, 4).
        scores: (N,).
        limit: IoU with a better box above which a box is dropped.
    """
    kept: list[int] = []
    order = np.argsort(-scores, kind="stable")
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[iou(boxes[best], boxes[rest]) <= limit]
    return kept

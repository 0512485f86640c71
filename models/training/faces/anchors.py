"""Anchors of an SCRFD network: their positions, their assignment to faces, and the decoding of their outputs."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["ANCHORS", "STRIDES", "anchors", "assign", "boxes_at", "overlaps", "points_at"]

STRIDES = (8, 16, 32)
ANCHORS = 2
_SIZES = {8: (16.0, 32.0), 16: (64.0, 128.0), 32: (256.0, 512.0)}
"""Sides of a stride's two anchors, pixels (Guo et al., ICLR 2022)."""
_NEAREST = 9
"""Nearest positions per stride, with both their anchors, that are candidates for a face."""


@lru_cache(maxsize=8)
def anchors(height: int, width: int) -> Tensor:
    """Return all anchors of a picture, (N, 4): x, y of the centre, side and stride, in pixels.

    In the order of a network's outputs: by stride, row, column and size.
    """
    found = []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride) * float(stride), torch.arange(width // stride) * float(stride), indexing="ij"
        )
        for_each = [torch.stack([x, y, torch.full_like(x, s), torch.full_like(x, stride)], -1) for s in _SIZES[stride]]
        found.append(torch.stack(for_each, dim=2).reshape(-1, 4))
    return torch.cat(found)


def assign(places: Tensor, boxes: Tensor, real: Tensor) -> Tensor:
    """Assign anchors to faces by adaptive training sample selection (Zhang et al., CVPR 2020).

    The candidates of a face are the anchors nearest to its centre in every stride. Those whose IoU with it is at least
    the candidates' mean plus one standard deviation, and whose centre is in its box, are positive. A face without any
    gets the anchor with the largest IoU. An anchor claimed by two faces belongs to the one with the larger IoU.

    Args:
        places: (N, 4) of `anchors`.
        boxes: (B, M, 4) x1, y1, x2, y2.
        real: (B, M), false where a row holds no face.

    Returns:
        (B, N) int64, the row of a face, or -1 for none.
    """
    centres, sides = places[:, :2], places[:, 2:3] / 2
    shared = overlaps(torch.cat([centres - sides, centres + sides], dim=1), boxes.unsqueeze(2))  # (B, M, N)
    away = (centres - ((boxes[..., :2] + boxes[..., 2:]) / 2).unsqueeze(2)).square().sum(-1)
    near = torch.zeros_like(shared, dtype=torch.bool)
    for stride in STRIDES:
        (of,) = torch.nonzero(places[:, 3] == stride, as_tuple=True)
        nearest = away[..., of].topk(min(_NEAREST * ANCHORS, len(of)), dim=-1, largest=False).indices
        near.scatter_(-1, of[nearest], True)
    count = near.sum(-1, keepdim=True)
    mean = (shared * near).sum(-1, keepdim=True) / count
    spread = (((shared - mean).square() * near).sum(-1, keepdim=True) / (count - 1)).sqrt()
    inside = ((centres > boxes[..., None, :2]) & (centres < boxes[..., None, 2:])).all(-1)
    wanted = near & inside & (shared >= mean + spread)
    best = torch.zeros_like(wanted).scatter_(-1, shared.argmax(-1, keepdim=True), True)
    wanted = (wanted | (best & ~wanted.any(-1, keepdim=True))) & real.unsqueeze(-1)
    most, face = torch.where(wanted, shared, -1.0).max(dim=1)
    return torch.where(most >= 0, face, -1)


def boxes_at(places: Tensor, distances: Tensor) -> Tensor:
    """Decode (..., N, 4) distances to the left, upper, right and lower side, in strides, to boxes in pixels."""
    away = distances * places[:, 3:]
    return torch.cat([places[:, :2] - away[..., :2], places[:, :2] + away[..., 2:]], dim=-1)


def points_at(places: Tensor, distances: Tensor) -> Tensor:
    """Decode (..., N, 10) distances, in strides, to points in pixels, (..., N, 5, 2)."""
    away = (distances * places[:, 3:]).reshape(*distances.shape[:-1], 5, 2)
    return away + places[:, None, :2]


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes (..., 4), broadcast."""
    sides = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0)
    shared = sides.prod(-1)
    areas = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1) + (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return shared / (areas - shared).clamp(min=1e-6)

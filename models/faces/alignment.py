"""Alignment of a face to the template of face recognition networks."""

from __future__ import annotations

import numpy as np
from skimage.transform import SimilarityTransform, warp

from troupe.errors import NoFace
from troupe.faces import Floats, Picture

__all__ = ["ALIGNED_SIZE", "align_face"]

ALIGNED_SIZE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Positions of eyes, nose and mouth corners in 112x112: ArcFace's points of 96x112, moved 8 to the right."""


def align_face(picture: Picture, keypoints: Floats) -> Floats:
    """Warp the face to the template, by the similarity transform that fits its keypoints best.

    Args:
        picture: (H, W, 3).
        keypoints: (5, 2) in pixels of `picture`.

    Returns:
        (112, 112, 3) float32 RGB in [0, 1], bilinear and not rounded; black outside of the picture.

    Raises:
        NoFace: the keypoints coincide or are not finite, so that no transform fits.
    """
    points = keypoints.astype(np.float64)
    transform = SimilarityTransform.from_estimate(points, TEMPLATE) if np.isfinite(points).all() else None
    if not transform:
        raise NoFace("the face's keypoints coincide or are not finite; try another picture or detector")
    shape = (ALIGNED_SIZE, ALIGNED_SIZE)
    aligned = warp(  # type: ignore[no-untyped-call]
        picture, transform.inverse, output_shape=shape, order=1, mode="constant", cval=0.0
    )
    return np.asarray(aligned, dtype=np.float32)

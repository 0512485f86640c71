"""One face followed through a clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from models.faces.boxes import iou
from models.faces.detector import FaceDetector
from troupe.errors import InputError, NoFace
from troupe.faces import Face, FaceChoice, Floats, Picture, Track

__all__ = ["follow"]

REACH = 1.0
"""How far the face's centre may move between frames, in sides of its box: farther off it is somebody else."""
REACH_GROWTH = 0.1
"""How much farther after every frame in which it was not seen."""


def follow(frames: Iterable[Picture], detector: FaceDetector, choice: FaceChoice, where: str) -> Track:
    """Find the chosen face in every frame, in one pass that keeps boxes and no pictures.

    `choice` picks among the faces of the first frame that shows any. From there on it is the face that overlaps most
    with where it was last, or else is nearest to it, unless even that is too far off. Where it is not seen, box and
    keypoints are interpolated linearly between the neighbouring sightings, and held before the first and after the
    last one; the score is 0 there.

    Args:
        frames: (H, W, 3) each.
        detector: finds the faces.
        choice: which face is meant.
        where: name of the clip, for messages.

    Raises:
        NoFace: no frame shows a face, or the first one that does shows fewer than `choice` asks for.
        InputError: there are no frames.
    """
    seen: list[tuple[int, Face]] = []
    count = 0
    for index, frame in enumerate(frames):
        count = index + 1
        faces = detector.detect(frame)
        if not faces:
            continue
        if seen:
            last, face = seen[-1]
            same = _same(faces, face, index - last - 1)
        else:
            same = choice.pick(faces, f"{where}, frame {index}")
        if same is not None:
            seen.append((index, same))
    if not count:
        raise InputError(f"{where} has no frames")
    if not seen:
        raise NoFace(f"no face found in any of the {count} frames of {where}; try another clip or detector")
    return _filled(seen, count)


def _same(faces: Sequence[Face], last: Face, missed: int) -> Face | None:
    """The one of `faces` that continues `last`, not seen for `missed` frames; None if none of them can be it."""
    boxes = np.stack([face.box for face in faces])
    overlaps = iou(last.box, boxes)
    moved = np.linalg.norm(_centres(boxes) - _centres(last.box), axis=1)
    reach = (REACH + REACH_GROWTH * missed) * float((last.box[2:] - last.box[:2]).max())
    near = [i for i in range(len(faces)) if moved[i] <= reach]
    return faces[max(near, key=lambda i: (overlaps[i], -moved[i]))] if near else None


def _centres(boxes: Floats) -> Floats:
    """(..., 4) boxes to (..., 2) points."""
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2, dtype=np.float32)


def _filled(seen: Sequence[tuple[int, Face]], count: int) -> Track:
    """A track of `count` frames from its sightings."""
    at = np.array([index for index, _ in seen])
    values = np.stack([np.concatenate([face.box, face.keypoints.ravel()]) for _, face in seen]).astype(np.float64)
    every = np.arange(count)
    filled = np.stack([np.interp(every, at, column) for column in values.T], axis=1).astype(np.float32)
    scores = np.zeros(count, dtype=np.float32)
    scores[at] = [face.score for _, face in seen]
    return Track(boxes=filled[:, :4], keypoints=filled[:, 4:].reshape(count, 5, 2), scores=scores)

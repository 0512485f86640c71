"""Extend the motion of a driving clip: its last frame stays, or its frames run backwards and forwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from models.faces.framing import reference_boxes, stabilise_keypoints
from models.motion.intensity import intensities
from models.motion.motion import Motion
from troupe.faces import Track

__all__ = ["extend_shots", "shown_frames"]


def shown_frames(count: int, frames: int, extension: str) -> NDArray[np.int64]:
    """Return which of a clip's frames each frame of an extended one shows.

    Args:
        count: number of frames of the clip.
        frames: number of frames of the extended one.
        extension: `hold` or `bounce`, as `tasks.media.fit.extend` extends pictures.
    """
    indices = np.arange(frames)
    if extension == "hold" or count == 1:
        return np.minimum(indices, count - 1)
    return np.asarray(count - 1 - np.abs(count - 1 - indices % (2 * (count - 1))))


def extend_shots(
    shots: Sequence[Motion], track: Track, shown: NDArray[np.int64], *, window: int, crop: str = "first"
) -> tuple[tuple[Motion, ...], Track]:
    """Return the motion and the track of the shown frames of a clip.

    Intensities are measured again, on the keypoints of these frames. Where the clip runs backwards, so do its shots
    and cuts.

    Args:
        shots: motion of the clip, one per shot, as encoded.
        track: track of the whole clip.
        shown: (M,) frames of the clip, as `shown_frames` returns them.
        window: number of frames per chunk of intensity, as the motion was encoded with.
        crop: framing of the crops, as the motion was encoded with.

    Returns:
        motions of the shots, each time that they are shown, and the track.
    """
    shot_of = np.repeat(np.arange(len(shots)), [len(shot) for shot in shots])[shown]
    scene_of = np.searchsorted(np.array(track.cuts, np.int64), shown, side="right")
    cuts = np.flatnonzero((np.diff(scene_of) != 0) | (np.diff(shot_of) != 0)) + 1
    extended = Track(track.boxes[shown], track.keypoints[shown], track.scores[shown], tuple(cuts.tolist()))
    expression, rotation = (torch.cat([getattr(shot, name) for shot in shots]) for name in ("expression", "rotation"))
    motions = []
    for first, stop in pairwise([0, *(np.flatnonzero(np.diff(shot_of)) + 1).tolist(), len(shown)]):
        rows, part = torch.from_numpy(shown[first:stop]), extended.part(first, stop)
        measured = intensities(stabilise_keypoints(part, reference_boxes(part, crop)), window)
        motions.append(Motion(expression[rows], rotation[rows], torch.from_numpy(measured)))
    return tuple(motions), extended

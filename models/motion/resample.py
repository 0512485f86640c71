"""Resample the motion of a driving clip in time: the same performance, slower or faster."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation, Slerp

from models.faces.framing import reference_boxes, stabilise_keypoints
from models.motion.intensity import intensities
from models.motion.motion import Motion
from troupe.faces import Track

__all__ = ["resample_positions", "resample_rotation", "resample_shots", "resample_track"]

Series = NDArray[np.float64]

_AXES = "yxz"
_SIGNS = np.array([1.0, -1.0, 1.0])
"""Axes of the head-pose encoder's angles, and their signs: yaw, then pitch (positive looks down), then roll."""


def resample_shots(
    shots: Sequence[Motion],
    track: Track,
    frames: int,
    *,
    window: int,
    crop: str = "first",
    times: ArrayLike | None = None,
) -> tuple[tuple[Motion, ...], Track]:
    """Resample the motion and the track of a clip to another number of frames.

    Expression features, boxes and keypoints are interpolated linearly and rotations spherically, within a scene only:
    next to a cut, the nearer frame is taken. Intensities are measured again, on the resampled keypoints. The first and
    the last frame stay the first and the last one.

    Args:
        shots: motion of the clip, one per shot, as encoded.
        track: track of the whole clip.
        frames: number of frames to resample to. With that of the clip, nothing changes.
        window: number of frames per chunk of intensity, as the motion was encoded with.
        crop: framing of the crops, as the motion was encoded with.
        times: (F,) seconds of the clip's frames if they are uneven; the resampled ones are evenly spaced.

    Returns:
        motions of the shots, without shots of which no frame is left, and the track.

    Raises:
        ValueError: no frames, or shots and track differ in length.
        SettingsError: invalid `crop`.
    """
    starts = np.cumsum([0, *map(len, shots)])
    if starts[-1] != len(track):
        raise ValueError(f"shots of {starts[-1]} frames do not fit a track of {len(track)} frames")
    if frames == len(track):
        return tuple(shots), track
    scenes = sorted({*track.cuts, *starts[1:-1].tolist()})
    positions = resample_positions(len(track), frames, times=times, cuts=scenes)
    resampled = resample_track(track, positions)
    motions = []
    for shot, (first, stop) in zip(shots, pairwise(starts.tolist()), strict=True):
        chosen = np.flatnonzero((positions >= first) & (positions < stop))
        if len(chosen):
            part = resampled.part(int(chosen[0]), int(chosen[-1]) + 1)
            keypoints = stabilise_keypoints(part, reference_boxes(part, crop))
            motions.append(_motion(shot, positions[chosen] - first, intensities(keypoints, window)))
    return tuple(motions), resampled


def resample_positions(count: int, frames: int, *, times: ArrayLike | None = None, cuts: Iterable[int] = ()) -> Series:
    """Return the positions in a clip of the frames of a resampled one.

    Args:
        count: number of frames of the clip.
        frames: number of frames of the resampled clip.
        times: (count,) seconds of the clip's frames if they are uneven.
        cuts: first frames of the scenes after the first one, between which there is no position.

    Returns:
        (frames,) positions in frames of the clip, from 0 to `count` - 1, in non-decreasing order.

    Raises:
        ValueError: a number below 1.
    """
    if count < 1 or frames < 1:
        raise ValueError(f"cannot resample {count} frames to {frames}")
    if times is None:
        positions = np.linspace(0, count - 1, frames)
    else:
        stamps = np.asarray(times, dtype=np.float64)
        positions = np.interp(np.linspace(stamps[0], stamps[-1], frames), stamps, np.arange(count))
    positions = positions.round(9)  # so that a frame of the clip is met exactly
    for cut in cuts:
        between = (positions > cut - 1) & (positions < cut)
        positions[between] = positions[between].round()
    return positions


def resample_track(track: Track, positions: Series) -> Track:
    """Return the track at these positions; detection scores are those of the nearest frame."""
    cuts = {int(np.searchsorted(positions, cut)) for cut in track.cuts}
    return Track(
        boxes=_interpolated(track.boxes, positions).astype(np.float32),
        keypoints=_interpolated(track.keypoints, positions).astype(np.float32),
        scores=track.scores[positions.round().astype(int)],
        cuts=tuple(sorted(cut for cut in cuts if 0 < cut < len(positions))),
    )


def resample_rotation(rotation: Series, positions: Series) -> Series:
    """Return the head's rotation at these positions, by spherical interpolation from frame to frame.

    Of the angles that describe a rotation, those next to the frames' own are returned. Near a pitch of 90 degrees,
    where none are, the angles are interpolated one by one.

    Args:
        rotation: (F, 3) yaw, pitch and roll in degrees.
        positions: (M,) positions in frames.

    Returns:
        (M, 3) degrees, -180..180; exact where a position is that of a frame.
    """
    left = np.floor(positions).astype(int)
    share = (positions - left)[:, None]
    before, after = (np.asarray(rotation[row]) for row in (left, np.minimum(left + 1, len(rotation) - 1)))
    step = _turn(after - before)
    linear = before + share * step
    if (share == 0).all():
        return before
    turns = Rotation.from_euler(_AXES, rotation * _SIGNS, degrees=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of gimbal lock, a pitch of 90 degrees
        angles = Slerp(np.arange(len(rotation)), turns)(positions).as_euler(_AXES, degrees=True) * _SIGNS
    candidates = np.stack([angles, [180, 180, 180] + angles * [1, -1, 1]])
    errors = _turn(candidates - linear)
    error = np.take_along_axis(errors, np.abs(errors).max(axis=2).argmin(axis=0)[None, :, None], axis=0)[0]
    far = np.abs(error).max(axis=1) > np.abs(step).max(axis=1)
    spherical = linear + np.where(far[:, None], 0, error)
    return np.asarray(np.where(share == 0, before, _turn(spherical)), dtype=np.float64)


def _motion(motion: Motion, positions: Series, intensity: NDArray[np.int64]) -> Motion:
    expression = _interpolated(motion.expression.numpy(), positions)
    rotation = resample_rotation(motion.rotation.double().numpy(), positions)
    return Motion(torch.from_numpy(expression).float(), torch.from_numpy(rotation).float(), torch.from_numpy(intensity))


def _interpolated(values: NDArray[Any], positions: Series) -> Series:
    """Interpolate (F, ...) linearly; exact where a position is that of a frame."""
    left = np.floor(positions).astype(int)
    right = np.minimum(left + 1, len(values) - 1)
    share = (positions - left).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(values[left] * (1 - share) + values[right] * share, dtype=np.float64)


def _turn(degrees: Series) -> Series:
    """Return the same angles within -180..180."""
    return np.asarray((degrees + 180) % 360 - 180)

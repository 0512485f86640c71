"""Gaps in a track: frames without the face, filled in, rejected or split into shots."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from troupe.errors import NoFace
from troupe.faces import Track

__all__ = ["MAX_BRIDGED", "fill_gaps", "reject_gaps", "split_shots"]

MAX_BRIDGED = 15
"""Frames of the longest gap that is interpolated, whatever the policy: a missed detection, a hand passing by."""


def fill_gaps(values: NDArray[np.float64], seen: NDArray[np.bool_], cuts: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """Fill in values for the frames in which the face was not seen.

    Between two sightings of one scene at most `MAX_BRIDGED` frames are interpolated linearly; over a longer gap, over a
    cut and at the end the last value is held. Before the first sighting of all, the first value is held.

    Args:
        values: (F, N); rows of frames without the face are ignored.
        seen: (F,), true at least once.
        cuts: first frame of every further scene.

    Returns:
        (F, N).
    """
    at = np.flatnonzero(seen)
    # The sighting before each frame, or the first one of all.
    before = at[np.maximum(np.searchsorted(at, np.arange(len(seen)), side="right") - 1, 0)]
    filled = values[before].copy()
    scene = np.searchsorted(np.array(cuts, dtype=int), np.arange(len(seen)), side="right")
    for left, right in pairwise(at):
        if 1 < right - left <= MAX_BRIDGED + 1 and scene[left] == scene[right]:
            share = (np.arange(left + 1, right) - left)[:, None] / (right - left)
            filled[left + 1 : right] = values[left] + share * (values[right] - values[left])
    return filled


def split_shots(track: Track, policy: str) -> tuple[tuple[int, int], ...]:
    """Split a track into shots (first, stop), which are encoded and rendered separately.

    There is one shot, unless the policy is `cut`: then each scene starts a shot, and so does each reappearance of the
    face after a gap longer than `MAX_BRIDGED`. The gap belongs to the shot before it. Frames of a scene that never
    shows the face belong to the shot before.
    """
    starts = [0]
    if policy == "cut":
        again = {stop for first, stop in track.gaps if stop - first > MAX_BRIDGED and first > 0}
        seen_from = [start for start in sorted({*track.cuts, *again}) if start < len(track)]
        for start, stop in pairwise([*seen_from, len(track)]):
            if (track.scores[start:stop] > 0).any() and (track.scores[starts[-1] : start] > 0).any():
                starts.append(start)
    return tuple(pairwise([*starts, len(track)]))


def reject_gaps(track: Track, where: str) -> None:
    """Raise if the track has gaps or cuts: the policy `fail`.

    Raises:
        NoFace: the face is missing for more than `MAX_BRIDGED` frames, or the scene changes; all such places are named.
    """
    gaps = [f"frames {first} to {stop - 1}" for first, stop in track.gaps if stop - first > MAX_BRIDGED]
    problems = [f"the face is not seen in {', '.join(gaps)}"] if gaps else []
    if track.cuts:
        problems.append(f"another scene starts at frame {', '.join(str(cut) for cut in track.cuts)}")
    if problems:
        raise NoFace(f"{where}: {'; '.join(problems)}; choose `start` and `end`, or the `gaps` policy hold or cut")

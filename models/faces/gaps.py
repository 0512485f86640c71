"""What happens while the face is not seen, and where one shot ends and the next begins."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from troupe.errors import NoFace
from troupe.faces import Track

__all__ = ["MAX_BRIDGED", "fill_gaps", "reject_gaps", "split_shots"]

MAX_BRIDGED = 15
"""Frames of the longest gap that is bridged evenly, whatever the policy: a blink of the detector, a hand passing by."""


def fill_gaps(values: NDArray[np.float64], seen: NDArray[np.bool_], cuts: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """Values for every frame from those of the frames in which the face was seen.

    Between two sightings of one scene at most `MAX_BRIDGED` frames are interpolated linearly; over a longer gap, over a
    cut and at the end the last value holds. Before a scene's first sighting its first value holds, unless an earlier
    scene has a last one that can.

    Args:
        values: (F, N); rows that were not seen may hold anything.
        seen: (F,), at least one of them.
        cuts: frames with which another scene begins.

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
    """The parts of a track that are encoded and rendered by themselves, as (first, stop).

    One, unless the policy is `cut`: then another one begins with every scene, and where the face is seen again after
    a gap that is too long to be bridged. The gap itself belongs to the shot before it. A shot in which the face is
    never seen is none, its frames belong to the one before.
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
    """The policy `fail`.

    Raises:
        NoFace: the face is missing for more than `MAX_BRIDGED` frames, or the scene changes; all such places are named.
    """
    gaps = [f"frames {first} to {stop - 1}" for first, stop in track.gaps if stop - first > MAX_BRIDGED]
    problems = [f"the face is not seen in {', '.join(gaps)}"] if gaps else []
    if track.cuts:
        problems.append(f"another scene begins with frame {', '.join(str(cut) for cut in track.cuts)}")
    if problems:
        raise NoFace(f"{where}: {'; '.join(problems)}; choose `start` and `end`, or the `gaps` policy hold or cut")

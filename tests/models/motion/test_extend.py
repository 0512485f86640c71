"""Motion that is held, or runs backwards and forwards."""

from __future__ import annotations

import numpy as np
import torch

from models.motion import Motion
from models.motion.extend import extend_shots, shown_frames
from troupe import Track


def shot(first: int, stop: int) -> Motion:
    numbers = torch.arange(first, stop, dtype=torch.float32)[:, None]
    return Motion(numbers.expand(-1, 8).clone(), numbers.expand(-1, 3).clone(), torch.zeros(1, 2, dtype=torch.int64))


def track(frames: int, cuts: tuple[int, ...]) -> Track:
    boxes = np.tile(np.array([10, 10, 50, 50], np.float32), (frames, 1))
    keypoints = np.random.default_rng(0).uniform(10, 50, (frames, 5, 2)).astype(np.float32)
    return Track(boxes, keypoints, np.arange(1, frames + 1, dtype=np.float32), cuts)


def test_shown_frames() -> None:
    assert shown_frames(3, 6, "hold").tolist() == [0, 1, 2, 2, 2, 2]
    assert shown_frames(3, 10, "bounce").tolist() == [0, 1, 2, 1, 0, 1, 2, 1, 0, 1]
    assert shown_frames(1, 3, "bounce").tolist() == [0, 0, 0]


def test_shots_and_cuts_run_backwards_too() -> None:
    shots, shown = (shot(0, 3), shot(3, 5)), shown_frames(5, 9, "bounce")
    extended, found = extend_shots(shots, track(5, (3,)), shown, window=2)
    assert [len(part) for part in extended] == [3, 3, 3]
    assert (
        torch.cat([part.expression[:, 0] for part in extended]).tolist()
        == shown.tolist()
        == [0, 1, 2, 3, 4, 3, 2, 1, 0]
    )
    assert found.cuts == (3, 6)
    assert found.scores.tolist() == [1, 2, 3, 4, 5, 4, 3, 2, 1]
    assert [len(part.intensity) for part in extended] == [2, 2, 2]


def test_scenes_of_one_shot() -> None:
    (extended,), found = extend_shots((shot(0, 5),), track(5, (3,)), shown_frames(5, 7, "hold"), window=4)
    assert (len(extended), found.cuts) == (7, (3,))
    assert extended.intensity[1].tolist() == [0, 0], "the last frame is held"
    assert (extended.intensity[0] > 0).all()

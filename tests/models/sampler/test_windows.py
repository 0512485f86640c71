"""Windows: every frame is covered, with weights that sum to one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.sampler.windows import check_overlap, frame_counts, windows
from troupe.errors import SettingsError


@st.composite
def layouts(draw: st.DrawFn) -> tuple[int, int, int, int]:
    frames, window = draw(st.integers(1, 120)), draw(st.integers(1, 40))
    return frames, window, draw(st.integers(0, window - 1)), draw(st.integers(0, 300))


@given(layouts())
def test_every_frame_is_covered_and_its_weights_sum_to_one(layout: tuple[int, int, int, int]) -> None:
    frames, window, _, _ = layout
    indices = windows(*layout)
    assert indices.shape[1] == window
    times = frame_counts(indices, frames)
    assert times.shape == (frames,)
    assert (times >= 1).all()
    assert times.sum() == indices.numel()
    shares = torch.zeros(frames).index_add_(0, indices.flatten(), (1 / times)[indices.flatten()])
    torch.testing.assert_close(shares, torch.ones(frames))


@given(layouts())
def test_windows_are_runs_of_frames_on_a_ring(layout: tuple[int, int, int, int]) -> None:
    frames, window, overlap, shift = layout
    indices = windows(*layout)
    assert len(indices) == -(-frames // (window - overlap))
    assert ((indices[:, 1:] - indices[:, :-1]) % frames == (1 % frames)).all()
    assert (indices[:, 0] == (torch.arange(len(indices)) * (window - overlap) - shift) % frames).all()


@given(layouts())
def test_shifts_wrap_around(layout: tuple[int, int, int, int]) -> None:
    frames, window, overlap, shift = layout
    assert torch.equal(windows(frames, window, overlap, shift), windows(frames, window, overlap, shift % frames))


def test_a_known_case() -> None:
    assert windows(7, 4, 1, 0).tolist() == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 0, 1, 2]]
    assert windows(7, 4, 1, 2).tolist() == [[5, 6, 0, 1], [1, 2, 3, 4], [4, 5, 6, 0]]
    assert frame_counts(windows(7, 4, 1, 0), 7).tolist() == [2, 2, 2, 2, 1, 1, 2]


def test_a_clip_shorter_than_a_window_is_repeated() -> None:
    assert windows(3, 5, 0, 1).tolist() == [[2, 0, 1, 2, 0]]
    assert windows(1, 4, 1, 7).tolist() == [[0, 0, 0, 0]]


@pytest.mark.parametrize("overlap", [5, 6])
def test_windows_must_advance(overlap: int) -> None:
    with pytest.raises(SettingsError, match="overlap"):
        check_overlap(5, overlap)
    check_overlap(5, 4)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.faces.detection.boxes import iou, non_max_suppression

boxes = arrays(np.float32, st.tuples(st.integers(1, 8), st.just(4)), elements=st.floats(-50, 50, width=32))


def test_iou_of_known_boxes() -> None:
    box = np.array([0, 0, 10, 10], dtype=np.float32)
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10], [2, 2, 4, 4], [5, 5, 5, 5]], dtype=np.float32)
    np.testing.assert_allclose(iou(box, others), [1, 1 / 3, 0, 0.04, 0])


@given(boxes)
def test_iou_is_symmetric_and_in_0_to_1(many: np.ndarray) -> None:
    values = np.stack([iou(box, many) for box in many])
    np.testing.assert_allclose(values, values.T)
    assert ((values >= 0) & (values <= 1 + 1e-9)).all()


def test_suppression_keeps_the_best_of_overlapping_boxes_and_distant_ones() -> None:
    many = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [40, 0, 50, 10], [0, 1, 10, 11]], dtype=np.float32)
    assert non_max_suppression(many, np.array([0.6, 0.9, 0.5, 0.7], dtype=np.float32), 0.45) == [1, 2]


def test_suppression_keeps_an_overlap_of_exactly_the_limit() -> None:
    many = np.array([[0, 0, 10, 10], [5, 0, 15, 10]], dtype=np.float32)
    scores = np.array([0.9, 0.8], dtype=np.float32)
    assert non_max_suppression(many, scores, float(iou(many[0], many)[1])) == [0, 1]
    assert non_max_suppression(many, scores, 0.3) == [0]


@given(boxes, st.sampled_from([0.0, 0.3, 0.45, 1.0]))
def test_kept_boxes_overlap_little_and_cover_the_others(many: np.ndarray, limit: float) -> None:
    scores = np.linspace(1, 0.5, len(many), dtype=np.float32)
    kept = non_max_suppression(many, scores, limit)
    assert kept == sorted(set(kept))
    for n, i in enumerate(kept):
        assert (iou(many[i], many[kept[n + 1 :]]) <= limit).all()
    for i in set(range(len(many))) - set(kept):
        assert iou(many[i], many[kept]).max() > limit


def test_suppression_without_boxes() -> None:
    assert non_max_suppression(np.empty((0, 4), dtype=np.float32), np.empty(0, dtype=np.float32), 0.45) == []


@pytest.mark.parametrize("shape", [(0, 4)])
def test_iou_without_boxes(shape: tuple[int, int]) -> None:
    assert iou(np.zeros(4, dtype=np.float32), np.empty(shape, dtype=np.float32)).shape == (0,)

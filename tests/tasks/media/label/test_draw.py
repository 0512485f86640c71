"""The label on frames: where it is, that it can be read, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.media.label import draw_label, label_problem


@pytest.mark.parametrize("size", [(64, 64), (128, 128), (513, 300), (720, 1280)], ids=str)
@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_label_is_legible_on_every_ground(size: tuple[int, int], level: int) -> None:
    width, height = size
    frame = np.full((height, width, 3), level, np.uint8)
    labelled = draw_label("AI-generated", size)(frame)
    assert (frame == level).all(), "the frame itself is left as it is"
    changed = (labelled != level).any(2)
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    assert rows[-1] < height / 4
    assert columns[0] > 0
    assert width * 0.9 <= columns[-1] < width
    assert len(rows) >= min(size) / 30
    lit = labelled[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert lit.max() > 180, "white letters"
    assert lit.min() < 60, "black outlines"


def test_letters_of_other_scripts_and_lines() -> None:
    frame = np.full((512, 512, 3), 128, np.uint8)

    def used(text: str) -> tuple[int, int]:
        changed = (draw_label(text, (512, 512))(frame) != 128).any(2)
        return int(changed.any(1).sum()), int(changed.any(0).sum())

    assert used("Создано ИИ")[1] > used("ИИ")[1]
    (one, _), (many, width) = used("text"), used("a text that needs several lines of this frame for itself")
    assert many > 2 * one
    assert width < 512


def test_what_cannot_be_drawn_is_named() -> None:
    assert label_problem("KI-generiert") == ""
    problem = label_problem("\U00012345 here")
    assert "\U00012345" in problem
    assert "install one for the script of the label" in problem

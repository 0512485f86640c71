"""The opening of drawn mouths."""

from __future__ import annotations

import cv2
import numpy as np

from tasks.quality.mouth import MouthMeter


def test_a_dark_opening_mouth() -> None:
    opening = (1 + np.sin(np.arange(60) * 0.9)) / 2
    points = np.array([[30, 30], [70, 30], [50, 50], [35, 65], [65, 65]], np.float32)
    meter = MouthMeter()
    for number, height in enumerate(opening):
        frame = np.full((100, 100, 3), 200, np.uint8)
        axes = (12, round(1 + 10 * height))
        frame = cv2.ellipse(frame, (50, 70), axes, 0, 0, 360, (40, 20, 20), -1)
        meter.update(np.asarray(frame, np.uint8), None if number == 17 else points)
    found = meter.compute()
    assert np.isnan(found[17])
    seen = np.isfinite(found)
    assert np.corrcoef(found[seen], opening[seen])[0, 1] > 0.95


def test_no_face_at_all() -> None:
    meter = MouthMeter()
    assert meter.compute().shape == (0,)
    meter.update(np.zeros((8, 8, 3), np.uint8), None)
    meter.update(np.zeros((8, 8, 3), np.uint8), np.zeros((5, 2), np.float32))
    assert np.isnan(meter.compute()).all()

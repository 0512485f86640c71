"""The opening of drawn mouths."""

from __future__ import annotations

import cv2
import numpy as np

from tasks.quality.mouth import MouthMeter, TrackedMouth
from troupe import Picture
from troupe.faces import Floats


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


def test_faces_are_detected_now_and_then() -> None:
    """In between, keypoints are interpolated; a face that is missing at one end leaves the frames before it out."""
    detected: list[int] = []

    def find(frame: Picture) -> Floats | None:
        number = int(frame[0, 0, 0])
        detected.append(number)
        points = np.array([[30, 30], [70, 30], [50, 50], [35, 65], [65, 65]], np.float32)
        return None if number == 9 else points + np.float32(number)

    def seen(number: int) -> Picture:
        frame = np.full((120, 120, 3), 200, np.uint8)
        frame[65 + number : 80 + number, 35 + number : 65 + number] = 180 - 10 * (number % 3)
        frame[0, 0] = number
        return frame

    tracked, known = TrackedMouth(find), MouthMeter()
    for number in range(23):
        tracked.update(seen(number))
        points = np.array([[30, 30], [70, 30], [50, 50], [35, 65], [65, 65]], np.float32) + np.float32(number)
        known.update(seen(number), None if 6 < number < 12 else points)
    np.testing.assert_allclose(tracked.compute(), known.compute(), atol=1e-3)
    assert detected == [0, 3, 6, 9, 12, 15, 18, 21, 22]

"""Quality measures of a render, on frames whose values are known."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from models.faces import crop_head
from models.synthetic.world import draw_clip
from tasks.evaluation.metrics import Subject
from tasks.quality.meter import QualityMeter, aligned_portrait
from tests.tasks.evaluation.test_metrics import FRAMES, Model, frames, known, model
from troupe import Picture
from troupe.errors import OutOfMemory
from troupe.faces import Face

__all__ = ["frames", "known", "model"]


class FailingDetector:
    """A detector on a device without free memory."""

    def detect(self, _: Any) -> Any:
        raise OutOfMemory("the GPU has 0.1 GB free, the detector needs 0.3 GB")


def test_out_of_memory_is_logged_with_the_missing_measures(caplog: pytest.LogCaptureFixture) -> None:
    motion: Any = SimpleNamespace(expression=torch.zeros(3, 4), rotation=torch.zeros(3, 3))
    detector: Any = FailingDetector()
    nothing: Any = None
    meter = QualityMeter(nothing, detector, nothing, [motion], nothing)
    for index in range(3):
        meter.update(index, np.full((8, 8, 3), index, np.uint8))
    with caplog.at_level(logging.WARNING, logger="tasks.quality"):
        measures = meter.compute()
    assert measures == {"identity": None, "landmarks": None, "expression": None, "pose": None, "flicker": 0.0}
    assert [record.getMessage().partition(",")[0].partition(":")[0] for record in caplog.records] == [
        "could not measure the mouth of the render",
        "could not measure the render",
    ]
    assert meter.mouth() == []
    text = caplog.text
    assert "out_of_memory" in text
    assert "the GPU has 0.1 GB free" in text
    for name in ("identity", "landmarks", "expression", "pose"):
        assert name in text


class OneFace:
    """A detector that finds a face that moves, and near a place only if it is there."""

    def __init__(self) -> None:
        self.whole = 0
        self.corner = 10.0

    def face(self) -> Face:
        box = np.array([0, 0, 20, 20], np.float32) + np.float32(self.corner)
        return Face(box, np.full((5, 2), self.corner, np.float32), 1.0)

    def detect(self, _: Any) -> list[Face]:
        self.whole += 1
        return [self.face()]

    def detect_near(self, _: Any, box: Any) -> list[Face]:
        return [self.face()] if abs(float(box[0]) - self.corner) < 10 else []


def test_the_mouth_is_sought_where_the_face_was_and_then_everywhere() -> None:
    motion: Any = SimpleNamespace(expression=torch.zeros(3, 4), rotation=torch.zeros(3, 3))
    detector, nothing = OneFace(), None
    meter = QualityMeter(nothing, detector, nothing, [motion], nothing)  # type: ignore[arg-type]
    for corner, whole in ((10, 1), (15, 1), (60, 2), (65, 2)):
        detector.corner = corner
        found = meter._keypoints(np.zeros((99, 99, 3), np.uint8))
        assert found is not None
        assert found[0, 0] == corner
        assert detector.whole == whole


def test_measures_of_known_renders(model: Model, known: Subject) -> None:
    """Of the clip itself as a perfect self-reenactment, of another person, and of noise."""
    stranger = [crop_head(picture, (0, 0, *picture.shape[1::-1]), 128) for picture, _ in draw_clip(9, 7, FRAMES, 25)]
    noise = list(np.random.default_rng(0).integers(0, 256, (FRAMES, 128, 128, 3), np.uint8))

    def measured(render: Iterable[Picture], portrait: Path = known.portrait) -> dict[str, float | None]:
        animator, detector = model

        def identity() -> torch.Tensor:
            return animator.identify(aligned_portrait(detector, animator.config.image_size, portrait, known.face))

        meter = QualityMeter(animator, detector, identity, known.shots, known.track)
        for index, frame in enumerate(render):
            meter.update(index, frame)
        return meter.compute()

    good, other, bad = measured(known.render), measured(stranger), measured(noise)
    assert set(good) == {"identity", "landmarks", "expression", "pose", "flicker"}
    assert (good["identity"] or 0) > (other["identity"] or 0)
    assert (good["landmarks"] or 1) < 0.1
    assert bad == {**dict.fromkeys(good), "flicker": bad["flicker"]}
    assert (good["flicker"] or 0) < 3 < (bad["flicker"] or 0)
    assert measured([])["flicker"] is None
    missing = measured(known.render, known.portrait.with_name("gone.png"))
    assert missing["identity"] is None  # a failure to measure does not fail the render

"""The context of a worker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.faces import prepare_portrait
from models.miniature import SHIPPED_WEIGHTS, draw_portrait
from tasks.steps.context import WorkerConfig, WorkerContext
from troupe import LARGEST
from troupe.errors import NoFace


def error_without_a_face(weights: Path, detector: str, folder: Path) -> str:
    """Return the error for a picture without a face."""
    context = WorkerContext(WorkerConfig(str(folder), str(weights), detector, "cpu", "auto", folder))
    with pytest.raises(NoFace) as error, context.detecting() as found:
        prepare_portrait(np.full((64, 64, 3), 90, np.uint8), found, LARGEST, 64, "grey.png")
    return str(error.value)


def test_the_miniatures_error_names_its_limits(tmp_path: Path) -> None:
    assert "supports drawn people only" in error_without_a_face(SHIPPED_WEIGHTS, "", tmp_path)
    own = tmp_path / "detector.onnx"
    own.write_bytes((SHIPPED_WEIGHTS / "detector.onnx").read_bytes())
    assert "drawn people" not in error_without_a_face(SHIPPED_WEIGHTS, str(own), tmp_path)


def test_a_drawn_face_is_detected(tmp_path: Path) -> None:
    context = WorkerContext(WorkerConfig(str(tmp_path), str(SHIPPED_WEIGHTS), "", "cpu", "auto", tmp_path))
    with context.detecting() as found:
        assert found.detect(draw_portrait(1)[0])

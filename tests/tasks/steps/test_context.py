"""What a worker holds in its hands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.faces import prepare_portrait
from models.miniature import SHIPPED_WEIGHTS, draw_portrait
from tasks.steps.context import WorkerConfig, WorkerContext
from troupe import LARGEST
from troupe.errors import NoFace


def sought(weights: Path, detector: str, folder: Path) -> str:
    """What is said where there is nobody."""
    tools = WorkerContext(WorkerConfig(str(folder), str(weights), detector, "cpu", "auto", folder))
    with pytest.raises(NoFace) as error, tools.seeking() as found:
        prepare_portrait(np.full((64, 64, 3), 90, np.uint8), found, LARGEST, 64, "grey.png")
    return str(error.value)


def test_the_miniature_says_what_it_does_not_know(tmp_path: Path) -> None:
    assert "knows drawn people only" in sought(SHIPPED_WEIGHTS, "", tmp_path)
    own = tmp_path / "detector.onnx"
    own.write_bytes((SHIPPED_WEIGHTS / "detector.onnx").read_bytes())
    assert "drawn people" not in sought(SHIPPED_WEIGHTS, str(own), tmp_path)


def test_a_face_is_a_face(tmp_path: Path) -> None:
    tools = WorkerContext(WorkerConfig(str(tmp_path), str(SHIPPED_WEIGHTS), "", "cpu", "auto", tmp_path))
    with tools.seeking() as found:
        assert found.detect(draw_portrait(1)[0])

from __future__ import annotations

from pathlib import Path

import pytest

from models.faces.detection.detector import open_detector
from models.faces.detection.scrfd import SCRFDetector
from tests.models.faces.fakes import write_scrfd
from troupe.errors import WeightsError


def test_the_suffix_selects_the_detector(tmp_path: Path) -> None:
    write_scrfd(tmp_path / "any.onnx", 64)
    assert isinstance(open_detector(tmp_path / "any.onnx"), SCRFDetector)


@pytest.mark.parametrize("name", ["none.onnx", "none.pt", "buffalo_l"])
def test_a_missing_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match=f"no face detector at .*{name}"):
        open_detector(tmp_path / name)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(WeightsError, match="no face detector at"):
        open_detector(tmp_path / "folder.onnx")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    (tmp_path / "detector.bin").write_bytes(b"?")
    with pytest.raises(WeightsError, match=r"\.onnx \(SCRFD\) or \.pt"):
        open_detector(tmp_path / "detector.bin")

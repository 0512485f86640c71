from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from models.faces.detection.boxes import iou
from models.faces.detection.detector import FaceDetector, open_detector
from models.faces.detection.scrfd import SCRFDetector
from models.faces.tracking import track_face
from tests.models.faces.fakes import CELL, blank, write_scrfd
from tests.models.faces.media import frames
from troupe.errors import WeightsError
from troupe.faces import LARGEST

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def real(shared: Path) -> FaceDetector:
    return open_detector(shared / "weights" / "scrfd_500m_bnkps.onnx", "cpu")


@pytest.fixture(scope="module")
def red_cells(tmp_path_factory: pytest.TempPathFactory) -> SCRFDetector:
    path = tmp_path_factory.mktemp("scrfd") / "detector.onnx"
    write_scrfd(path, 4 * CELL)
    return SCRFDetector(path, CPU)


def test_box_keypoints_and_score_of_an_rgb_picture(red_cells: SCRFDetector) -> None:
    picture = blank(4 * CELL, 4 * CELL)
    picture[CELL : 2 * CELL, 2 * CELL : 3 * CELL, 0] = 255
    picture[3 * CELL :, :CELL, 2] = 255  # blue, not red: would be found if channels were swapped
    (found,) = red_cells.detect(picture)
    np.testing.assert_allclose(found.box, [2 * CELL, CELL, 3 * CELL, 2 * CELL])
    np.testing.assert_allclose(found.keypoints, np.tile([2.5 * CELL, 1.5 * CELL], (5, 1)))
    assert found.score == pytest.approx((127.5 / 128 + 1) / 2)
    assert (found.box.dtype, found.keypoints.dtype) == (np.float32, np.float32)


def test_a_huge_picture_is_reduced_and_coordinates_are_of_the_original(red_cells: SCRFDetector) -> None:
    side = 4 * 700
    picture = blank(side, side)
    picture[700:1400, 1400:2100, 0] = 255
    (found,) = red_cells.detect(picture)
    np.testing.assert_allclose(found.box, [1400, 700, 2100, 1400], atol=0.5)
    np.testing.assert_allclose(found.keypoints, np.tile([1750, 1050], (5, 1)), atol=0.5)


def test_a_black_picture_has_no_faces(red_cells: SCRFDetector) -> None:
    assert red_cells.detect(blank(200, 150)) == []


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7000, 4), (3, 90)])
def test_pictures_of_unusual_sizes(red_cells: SCRFDetector, width: int, height: int) -> None:
    assert red_cells.detect(blank(width, height)) == []


def test_read_only_frames(red_cells: SCRFDetector) -> None:
    picture = np.frombuffer(bytes(64 * 64 * 3), dtype=np.uint8).reshape(64, 64, 3)
    assert red_cells.detect(picture) == []


def test_a_link_whose_target_has_no_suffix(tmp_path: Path) -> None:
    """As in the cache of a model hub."""
    write_scrfd(tmp_path / "blob", 4 * CELL)
    (tmp_path / "detector.onnx").symlink_to(tmp_path / "blob")
    assert open_detector(tmp_path / "detector.onnx", "cpu").detect(blank(64, 64)) == []


def test_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scrfd(tmp_path / "detector.onnx", 4 * CELL)
    monkeypatch.chdir(tmp_path)
    detector = open_detector(Path("detector.onnx"), "cpu")
    monkeypatch.chdir("/")
    assert detector.detect(blank(64, 64)) == []


def test_a_network_without_keypoints_is_refused(tmp_path: Path) -> None:
    write_scrfd(tmp_path / "boxes.onnx", 4 * CELL, keypoints=False)
    with pytest.raises(WeightsError, match="with keypoints"):
        SCRFDetector(tmp_path / "boxes.onnx", CPU)


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(WeightsError, match="cannot be read as an ONNX network"):
        SCRFDetector(tmp_path / "text.onnx", CPU)
    assert capfd.readouterr() == ("", "")


def test_loading_and_detecting_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_scrfd(tmp_path / "detector.onnx", 4 * CELL)
    SCRFDetector(tmp_path / "detector.onnx", CPU).detect(blank(64, 64))
    assert capfd.readouterr() == ("", "")


def test_a_recogniser_is_refused(shared: Path) -> None:
    with pytest.raises(WeightsError, match="is not an SCRFD network"):
        open_detector(shared / "weights" / "mobilefacenet.onnx", "cpu")


@pytest.mark.parametrize("name", ["source_image.png", "s0.jpg", "s9.jpg", "s12.jpg"])
def test_real_portraits(shared: Path, real: FaceDetector, name: str) -> None:
    picture = np.asarray(Image.open(shared / "media" / name).convert("RGB"))
    found = LARGEST.pick(real.detect(picture), name)
    assert found.score > 0.7
    x1, y1, x2, y2 = found.box
    left_eye, right_eye, nose, left_mouth, right_mouth = found.keypoints
    assert x1 < left_eye[0] < nose[0] < right_eye[0] < x2
    assert y1 < left_eye[1] < nose[1] < left_mouth[1] < y2
    assert left_mouth[0] < right_mouth[0]


@pytest.mark.parametrize("name", ["d0.mp4", "d19.mp4", "driving_video.mp4"])
def test_real_clips_are_tracked_without_gaps(shared: Path, real: FaceDetector, name: str) -> None:
    track = track_face(frames(shared / "media" / name, 30), real, LARGEST, name)
    assert len(track) == 30
    assert track.gaps == ()
    steps = [iou(a, b[None])[0] for a, b in zip(track.boxes, track.boxes[1:], strict=False)]
    assert min(steps) > 0.6


def test_a_tightly_cropped_face_is_detected(shared: Path, real: FaceDetector) -> None:
    """A face that fills the picture, larger than the network detects without padding."""
    picture = np.asarray(Image.open(shared / "media" / "s9.jpg").convert("RGB"))
    found = LARGEST.pick(real.detect(picture), "s9")
    x1, y1, x2, y2 = (int(v) for v in found.box)
    closeup = cv2.resize(picture[y1:y2, x1:x2], None, fx=3, fy=3)
    again = LARGEST.pick(real.detect(np.asarray(closeup, dtype=np.uint8)), "closeup")
    expected = np.array([0, 0, 3 * (x2 - x1), 3 * (y2 - y1)], dtype=np.float32)
    assert iou(expected, again.box[None])[0] > 0.7

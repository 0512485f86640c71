from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from models.faces.detection.detector import open_detector
from models.faces.detection.yoloface import YoloFaceDetector, decode, grids, input_size
from tests.models.faces.fakes import blank
from troupe.errors import WeightsError

CPU = torch.device("cpu")
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")


class RedCells(nn.Module):
    """A module with the inputs and outputs of the released file: one candidate per cell of stride 32.

    Objectness is the cell's mean of red, class its mean of green; the box is two cells wide and one high.
    """

    def forward(self, image: Tensor, grids: list[Tensor]) -> Tensor:
        height, width = image.shape[2], image.shape[3]
        assert height % 32 == 0 and width % 32 == 0  # noqa: PT018
        assert len(grids) == 3
        for i in range(3):
            stride = [8, 16, 32][i]
            assert grids[i].shape == [1, 1, height // stride, width // stride, 2]
        cells = torch.nn.functional.avg_pool2d(image, 32)
        centres = grids[2][0, 0] * 32 + 16
        sizes = torch.tensor([64.0, 32.0], device=image.device).expand_as(centres)
        points = centres.repeat(1, 1, 5) + torch.arange(10, device=image.device)
        red, green = cells[0, 0][..., None], cells[0, 1][..., None]
        return torch.cat([centres, sizes, red, points, green], dim=2).reshape(1, -1, 16)


class OneInput(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image


class TooFewColumns(nn.Module):
    def forward(self, image: Tensor, grids: list[Tensor]) -> Tensor:
        return image.new_zeros(1, grids[0].numel(), 6)


def saved(module: nn.Module, path: Path) -> Path:
    torch.jit.script(module).save(str(path))
    return path


@pytest.fixture(scope="module")
def red_cells(tmp_path_factory: pytest.TempPathFactory) -> YoloFaceDetector:
    return YoloFaceDetector(saved(RedCells(), tmp_path_factory.mktemp("yolo") / "yoloface.pt"), CPU)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((416, 416), (416, 416)),
        ((512, 512), (416, 416)),
        ((480, 640), (416, 576)),
        ((1280, 720), (768, 416)),
        ((100, 100), (416, 416)),
        ((704, 600), (512, 416)),
    ],
)
def test_input_size(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert input_size(*size) == expected


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_input_size_is_a_multiple_of_32_and_large_enough(height: int, width: int) -> None:
    tall, wide = input_size(height, width)
    assert tall % 32 == wide % 32 == 0
    assert 416 <= min(tall, wide) <= 416 + 31


def test_grids_are_x_and_y_of_the_cells() -> None:
    eight, sixteen, thirtytwo = grids(64, 96, CPU)
    assert [g.shape[2:4] for g in (eight, sixteen, thirtytwo)] == [(8, 12), (4, 6), (2, 3)]
    assert thirtytwo.dtype == torch.float32
    assert thirtytwo[0, 0].tolist() == [[[0, 0], [1, 0], [2, 0]], [[0, 1], [1, 1], [2, 1]]]


def candidate(x: float, y: float, w: float, h: float, objectness: float, kind: float) -> list[float]:
    return [x, y, w, h, objectness, *(float(v) for v in range(10)), kind]


def test_decode_scales_axes_independently() -> None:
    (found,) = decode(np.array([candidate(100, 50, 40, 20, 0.9, 0.8)], dtype=np.float32), 2.0, 0.5)
    np.testing.assert_allclose(found.box, [160, 20, 240, 30])
    np.testing.assert_allclose(found.keypoints, [[0, 0.5], [4, 1.5], [8, 2.5], [12, 3.5], [16, 4.5]])
    assert found.score == pytest.approx(0.72)
    assert (found.box.dtype, found.keypoints.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize(("objectness", "kind", "kept"), [(0.9, 0.5, False), (0.5, 1.1, False), (0.8, 0.7, True)])
def test_decode_applies_both_thresholds(objectness: float, kind: float, kept: bool) -> None:
    row = np.array([candidate(10, 10, 5, 5, objectness, kind)], dtype=np.float32)
    assert len(decode(row, 1.0, 1.0)) == kept


def test_decode_suppresses_by_the_product_of_scores() -> None:
    rows = [candidate(50, 50, 20, 20, 0.99, 0.6), candidate(52, 50, 20, 20, 0.9, 0.9), candidate(150, 50, 20, 20, 1, 1)]
    found = decode(np.array(rows, dtype=np.float32), 1.0, 1.0)
    assert [tuple(f.box[:2]) for f in found] == [(140, 40), (42, 40)]


def test_decode_of_no_candidates() -> None:
    assert decode(np.empty((0, 16), dtype=np.float32), 1.0, 1.0) == []


def test_a_picture_through_the_module(red_cells: YoloFaceDetector) -> None:
    picture = blank(832, 832)  # twice the input: a cell is 64 pixels
    picture[64 * 3 : 64 * 4, 64 * 5 : 64 * 6] = (255, 255, 0)
    picture[64 * 8 : 64 * 9, 64 * 5 : 64 * 6] = (0, 255, 255)  # would be detected if channels were swapped
    (found,) = red_cells.detect(picture)
    centre = np.array([5.5 * 64, 3.5 * 64])
    np.testing.assert_allclose(found.box, [5.5 * 64 - 64, 3.5 * 64 - 32, 5.5 * 64 + 64, 3.5 * 64 + 32])
    np.testing.assert_allclose(found.keypoints, centre + 2 * np.arange(10).reshape(5, 2))
    assert found.score == pytest.approx(1, abs=1e-5)


def test_a_picture_of_another_aspect_ratio(red_cells: YoloFaceDetector) -> None:
    picture = blank(640, 480)
    picture[:, 320:] = (255, 255, 0)
    found = red_cells.detect(picture)
    assert found
    assert all(f.box[0] >= 320 - 640 / 576 * 32 - 1 for f in found)


def test_a_face_that_needs_padding(tmp_path: Path) -> None:
    """A module that detects a face only in pictures with black corners."""

    class BorderNeeded(nn.Module):
        def forward(self, image: Tensor, grids: list[Tensor]) -> Tensor:
            row = torch.zeros(1, 1, 16) + grids[0].sum() * 0
            row[..., :4] = torch.tensor([208.0, 208.0, 104.0, 104.0])
            row[..., 4] = 1 - image[0, 0, 0, 0]
            row[..., 5:15] = 208.0
            row[..., 15] = 1.0
            return row

    detector = YoloFaceDetector(saved(BorderNeeded(), tmp_path / "border.pt"), CPU)
    (found,) = detector.detect(np.full((200, 200, 3), 255, dtype=np.uint8))
    np.testing.assert_allclose(found.box, [50, 50, 150, 150], atol=1e-3)
    np.testing.assert_allclose(found.keypoints, np.full((5, 2), 100), atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu(red_cells: YoloFaceDetector, tmp_path: Path) -> None:
    picture = blank(416, 416)
    picture[96:128, 160:192] = (255, 255, 0)
    (found,) = open_detector(saved(RedCells(), tmp_path / "gpu.pt"), "cuda").detect(picture)
    np.testing.assert_allclose(found.box, red_cells.detect(picture)[0].box)


def test_a_file_named_torchscript(tmp_path: Path) -> None:
    assert isinstance(open_detector(saved(RedCells(), tmp_path / "a.torchscript"), "cpu"), YoloFaceDetector)


def test_a_module_with_other_inputs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="its arguments are"):
        open_detector(saved(OneInput(), tmp_path / "other.pt"), "cpu")


def test_a_module_with_other_outputs_is_refused(tmp_path: Path) -> None:
    detector = open_detector(saved(TooFewColumns(), tmp_path / "other.pt"), "cpu")
    with pytest.raises(WeightsError, match=r"expected \(1, N, 16\)"):
        detector.detect(blank(64, 64))


@pytest.mark.parametrize("content", ["text", "tensors"])
def test_a_file_that_is_not_torchscript_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wrong.pt"
    if content == "text":
        path.write_text("no module")
    else:
        torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="cannot be read as a TorchScript module"):
        open_detector(path, "cpu")

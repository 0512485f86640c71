"""The released implementation's crops, alignment and paste-back (`tests/golden/README.md`)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from models.appearance import transformer_input
from models.faces.alignment import align_face
from models.faces.crops import FaceCrops, clip_crops, crop_head, head_box
from models.faces.detection.detector import open_detector
from models.faces.paste_back.blend_linear import Paster, paste_mask
from models.faces.portrait import prepare_portrait
from tests.models import golden
from tests.models.faces.media import frames
from troupe.faces import LARGEST, Picture, Track

PAIR = "preprocess_official_pair.safetensors"
PASTE_CORNER = (20, 30)
PASTE_FRAME = 64
IMAGE_TOLERANCE = 2 / 255
"""Mean absolute difference: decoded frames differ slightly between builds."""


def test_golden_head_boxes() -> None:
    cases = json.loads(golden.need("preprocess_cases.json").read_text())["process_bbox"]
    assert cases
    for case in cases:
        box = np.array(case["bbox"], dtype=np.float64)
        assert list(head_box(box, case["width"], case["height"], case["expand"])) == case["out"], case


def test_golden_paste_back() -> None:
    expected = load_file(golden.need("paste_back.safetensors"))
    height, width = expected["mask"].shape[:2]
    np.testing.assert_array_equal(paste_mask(height, width), expected["mask"])
    rows = np.arange(expected["pasted"].shape[0])[:, None, None]
    picture = np.broadcast_to(rows, expected["pasted"].shape).astype(np.uint8)
    sums = np.add.outer(np.arange(PASTE_FRAME), np.arange(PASTE_FRAME))
    frame = (sums[..., None] * [1, 0.5, 0.25]).astype(np.uint8)
    x, y = PASTE_CORNER
    pasted = Paster(picture, (x, y, x + width, y + height))(frame)
    np.testing.assert_array_equal(pasted, expected["pasted"])


@pytest.fixture(scope="module")
def pair(shared: Path) -> dict[str, np.ndarray]:
    """Outputs of the release for the real pair, which are not in the repository because of the pictures' licences."""
    for directory in (golden.DIRECTORY, shared / "reference" / "golden"):
        if (directory / PAIR).exists():
            return load_file(directory / PAIR)
    pytest.skip(f"no {PAIR} in {golden.DIRECTORY} or {shared / 'reference' / 'golden'}")


@pytest.fixture(scope="module")
def source(shared: Path) -> Picture:
    return np.asarray(Image.open(shared / "media" / "source_image.png").convert("RGB"))


def strided(pair: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, int]:
    """Return the images of a name and their stride, which is the end of the name."""
    (found,) = (key for key in pair if key.startswith(f"{name}_stride"))
    return pair[found], int(found.rpartition("stride")[2])


def assert_same_images(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).mean() <= IMAGE_TOLERANCE


def channels_first(pictures: np.ndarray, stride: int) -> np.ndarray:
    """Convert (..., H, W, 3) uint8 to (..., 3, H / stride, W / stride) in [0, 1]."""
    return np.moveaxis(pictures, -1, -3)[..., ::stride, ::stride] / 255


def test_golden_portrait_crop(pair: dict[str, np.ndarray], source: Picture) -> None:
    expected, stride = strided(pair, "reference_image")
    size = expected.shape[-1] * stride
    box = head_box(pair["detect.source_full.boxes"][0], source.shape[1], source.shape[0])
    assert box == tuple(int(v) for v in pair["crop_bbox"])
    crop = crop_head(source, box, size)
    assert_same_images(channels_first(crop, stride) * 2 - 1, expected)


def test_golden_picture_of_the_transformer(pair: dict[str, np.ndarray], source: Picture) -> None:
    image, image_stride = strided(pair, "reference_image")
    expected, stride = strided(pair, "dino_image")
    crop = crop_head(source, tuple(int(v) for v in pair["crop_bbox"]), image.shape[-1] * image_stride)
    unit = torch.from_numpy(crop.copy()).permute(2, 0, 1).float() / 255
    seen = transformer_input(unit, expected.shape[-1] * stride)[:, ::stride, ::stride]
    assert_same_images(seen.numpy(), expected)


def test_golden_aligned_face(pair: dict[str, np.ndarray], source: Picture) -> None:
    expected, stride = strided(pair, "reference_image")
    crop = crop_head(source, tuple(int(v) for v in pair["crop_bbox"]), expected.shape[-1] * stride)
    aligned = align_face(crop, pair["detect.source_crop.keypoints"][0])
    assert aligned.dtype == pair["arcface_image"].dtype
    np.testing.assert_allclose(aligned, pair["arcface_image"], atol=1e-4)


@pytest.fixture(scope="module")
def driving_crops(shared: Path, pair: dict[str, np.ndarray]) -> list[FaceCrops]:
    boxes, keypoints = pair["detect.driving.boxes"], pair["landmarks"]
    track = Track(boxes, keypoints, np.ones(len(boxes), dtype=np.float32))
    image, image_stride = strided(pair, "reference_image")
    face, face_stride = strided(pair, "motion_face")
    clip = frames(shared / "media" / "driving_video.mp4", len(boxes))
    return list(clip_crops(clip, track, image.shape[-1] * image_stride, face.shape[-1] * face_stride))


@pytest.mark.parametrize(("name", "part"), [("motion_face", "face"), ("motion_pose", "head")])
def test_golden_driving_crops(
    pair: dict[str, np.ndarray], driving_crops: list[FaceCrops], name: str, part: str
) -> None:
    expected, stride = strided(pair, name)
    actual = np.stack([getattr(crops, part) for crops in driving_crops])
    assert_same_images(channels_first(actual, stride), expected)


def test_golden_portrait_from_the_picture_on(shared: Path, pair: dict[str, np.ndarray], source: Picture) -> None:
    """With the detector that made the golden file, including the retry with padding."""
    expected, stride = strided(pair, "reference_image")
    detector = open_detector(shared / "weights" / "scrfd_500m_bnkps.onnx", "cpu")
    portrait = prepare_portrait(source, detector, LARGEST, expected.shape[-1] * stride, "source_image.png")
    np.testing.assert_allclose(portrait.face.box, pair["detect.source_full.boxes"][0], atol=0.05)
    np.testing.assert_allclose(portrait.face.keypoints, pair["detect.source_full.keypoints"][0], atol=0.05)
    assert portrait.box == tuple(int(v) for v in pair["crop_bbox"])
    assert_same_images(channels_first(portrait.crop, stride) * 2 - 1, expected)
    assert_same_images(portrait.aligned, pair["arcface_image"])

"""The rule-based detector finds the faces of the synthetic world, and little else."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from insightface.model_zoo import SCRFD, get_model

from models.faces import open_detector
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, Identity, Performance, draw_portrait, render
from models.miniature.build_detector import build_detector
from troupe import Face, Picture

PEOPLE = 200


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "detector.onnx"
    onnx.save(build_detector(), path)
    return path


@pytest.fixture(scope="module")
def scrfd(file: Path) -> SCRFD:
    model = get_model(str(file), providers=["CPUExecutionProvider"])
    assert isinstance(model, SCRFD)
    model.prepare(0, input_size=(640, 640), det_thresh=0.5)
    return model


@cache
def faces() -> tuple[tuple[Picture, Face], ...]:
    """Return portraits and moments of performances, one to two, each of another person."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + PEOPLE):
        if seed % 3 == 0:
            found.append(draw_portrait(seed))
        else:
            frame = int(rng.integers(200))
            found.append(
                render(Identity.from_seed(seed), Performance.from_seed(seed, 200, 25).moments[frame], CLIP_SIZE)
            )
    return tuple(found)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection over union of two boxes."""
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    areas = [np.prod(box[2:] - box[:2]) for box in (a, b)]
    return float(np.prod(sides) / (sum(areas) - np.prod(sides)))


def evaluate(model: SCRFD, pictures: list[tuple[Picture, Face]]) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the share of pictures with one detection, their IoU (N,) and keypoint errors (N, 5) in face widths."""
    overlaps, errors = [], []
    for picture, face in pictures:
        boxes, keypoints = model.detect(picture[..., ::-1])
        if len(boxes) == 1:
            overlaps.append(overlap(boxes[0, :4], face.box))
            errors.append(np.linalg.norm(keypoints[0] - face.keypoints, axis=1) / (face.box[2] - face.box[0]))
    return len(overlaps) / len(pictures), np.array(overlaps), np.array(errors)


@pytest.mark.long
def test_finds_the_worlds_faces(scrfd: SCRFD) -> None:
    """Measured when this was written: all found, IoU at least 0.81 and 0.94 on average, keypoint error at most 0.08."""
    share, overlaps, errors = evaluate(scrfd, list(faces()))
    assert share >= 0.99
    assert overlaps.min() >= 0.7
    assert overlaps.mean() >= 0.9
    assert (errors <= 0.10).mean(axis=0).min() >= 0.99
    assert errors.mean() <= 0.03


@pytest.mark.parametrize(("quality", "min_share"), [(90, 0.98), (80, 0.95)])
def test_survives_compression(scrfd: SCRFD, quality: int, min_share: float) -> None:
    def compressed(picture: Picture) -> Picture:
        data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], dtype=np.uint8)

    share, overlaps, errors = evaluate(scrfd, [(compressed(picture), face) for picture, face in faces()[:60]])
    assert share >= min_share
    assert overlaps.min() >= 0.6
    assert errors.mean() <= 0.05


def test_smaller_input(scrfd: SCRFD) -> None:
    for picture, face in faces()[:20]:
        boxes, _ = scrfd.detect(picture[..., ::-1], input_size=(320, 320))
        assert len(boxes) == 1
        assert overlap(boxes[0, :4], face.box) > 0.7


def test_a_small_face_in_a_large_picture(file: Path) -> None:
    picture, face = draw_portrait(FIRST_HELD_OUT_SEED, (256, 256))
    wall = np.full((900, 1200, 3), 128, np.uint8)
    wall[300:556, 700:956] = picture
    (found,) = open_detector(file, "cpu").detect(wall)
    assert overlap(found.box, face.box + np.array([700, 300, 700, 300])) > 0.7


@pytest.mark.parametrize("cut", [0, 12])
def test_detects_a_face_through_open_detector(file: Path, cut: int) -> None:
    """Also a face that fills the picture, which is retried with a margin."""
    picture, face = draw_portrait(FIRST_HELD_OUT_SEED + 4)
    x1, y1, x2, y2 = face.box.astype(int)
    left, top = (x1 - cut, y1 - cut) if cut else (0, 0)
    shown = picture[y1 - cut : y2 + cut, x1 - cut : x2 + cut] if cut else picture
    (found,) = open_detector(file, "cpu").detect(np.ascontiguousarray(shown))
    assert overlap(found.box + np.array([left, top, left, top]), face.box) > 0.7


def gradient(corners: np.ndarray) -> Picture:
    """Return a gradient between the colours (4, 3) of the corners."""
    return np.asarray(cv2.resize(corners.reshape(2, 2, 3), (200, 200), interpolation=cv2.INTER_LINEAR))


FACELESS: dict[str, Callable[[np.random.Generator], Picture]] = {
    "noise": lambda rng: rng.integers(0, 256, (200, 200, 3), dtype=np.uint8),
    "blocks": lambda rng: np.kron(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8), np.ones((20, 20, 1), np.uint8)),
    "grey": lambda rng: np.full((200, 200, 3), rng.integers(256), np.uint8),
    "gradient": lambda rng: gradient(rng.integers(0, 256, (4, 3), dtype=np.uint8)),
    "skin": lambda rng: np.full((200, 200, 3), Identity.from_seed(int(rng.integers(1000))).skin, np.uint8),
}


@pytest.mark.parametrize("kind", FACELESS)
def test_finds_no_face_in_pictures_without_people(scrfd: SCRFD, kind: str) -> None:
    rng = np.random.default_rng(1)
    assert sum(len(scrfd.detect(FACELESS[kind](rng))[0]) for _ in range(10)) == 0


@pytest.mark.parametrize(("height", "width"), [(640, 640), (320, 256), (96, 128)])
def test_outputs_have_the_shapes_of_scrfd(file: Path, height: int, width: int) -> None:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert given.name == "input.1"
    outputs = session.run(None, {"input.1": np.zeros((1, 3, height, width), np.float32)})
    places = [2 * (height // stride) * (width // stride) for stride in (8, 16, 32)]
    assert [value.shape for value in outputs] == [(n, k) for k in (1, 4, 10) for n in places]
    assert all(np.isfinite(value).all() for value in outputs)


def test_a_face_is_reported_once_per_stride(file: Path) -> None:
    """By the two anchors of one position; non-maximum suppression leaves one."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    picture = cv2.resize(faces()[1][0], (640, 640)).astype(np.float32)
    scores = session.run(None, {"input.1": ((picture - 127.5) / 128).transpose(2, 0, 1)[None]})[:3]
    assert [int((score > 0).sum()) for score in scores] == [2, 2, 2]

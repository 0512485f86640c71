from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from PIL import Image

from models.faces.alignment import align_face
from models.faces.crops import crop_head, head_box
from models.faces.detection.detector import FaceDetector, open_detector
from models.faces.portrait import prepare_portrait
from tests.models.faces.fakes import ListedFaces, blank, face
from troupe.errors import NoFace
from troupe.faces import LARGEST, FaceChoice


def textured(width: int, height: int) -> np.ndarray:
    coarse = np.random.default_rng(5).integers(0, 256, (height // 10, width // 10, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height)), dtype=np.uint8)


@pytest.mark.parametrize("size", [96, 512])
def test_keypoints_are_those_of_the_second_detection(size: int) -> None:
    picture = textured(400, 300)
    found, closer = face(150, 100, 200, 150), face(170, 170, 340, 345)
    detector = ListedFaces([[found], [closer]])
    portrait = prepare_portrait(picture, detector, LARGEST, size, "p.png")
    assert portrait.face is found
    assert portrait.box == head_box(found.box, 400, 300) == (100, 50, 250, 200)
    np.testing.assert_array_equal(portrait.crop, crop_head(picture, portrait.box, size))
    closeup = crop_head(picture, portrait.box, 512)
    np.testing.assert_array_equal(detector.pictures[1], closeup)
    np.testing.assert_array_equal(portrait.aligned, align_face(closeup, closer.keypoints))


def test_keypoints_are_those_of_the_first_detection_if_the_second_finds_none() -> None:
    picture = textured(400, 300)
    found = face(150, 100, 200, 150)
    portrait = prepare_portrait(picture, ListedFaces([[found], []]), LARGEST, 64, "p.png")
    expected = (found.keypoints - [100, 50]) * (512 / 150)
    closeup = crop_head(picture, (100, 50, 250, 200), 512)
    np.testing.assert_allclose(portrait.aligned, align_face(closeup, expected.astype(np.float32)), atol=1e-4)


def test_the_chosen_face_is_aligned_and_not_a_larger_neighbour() -> None:
    picture = textured(400, 300)
    chosen, neighbour = face(150, 100, 200, 150), face(210, 60, 300, 150)
    in_crop, neighbour_in_crop = face(172, 170, 342, 340), face(375, 34, 512, 340)
    detector = ListedFaces([[neighbour, chosen], [neighbour_in_crop, in_crop]])
    portrait = prepare_portrait(picture, detector, FaceChoice("index:0"), 512, "p.png")
    np.testing.assert_array_equal(portrait.aligned, align_face(portrait.crop, in_crop.keypoints))


def test_a_picture_without_faces_is_refused() -> None:
    with pytest.raises(NoFace, match=r"no face found in p\.png"):
        prepare_portrait(blank(64, 64), ListedFaces([[]]), LARGEST, 64, "p.png")


def test_real_portraits_keep_their_identities(shared: Path) -> None:
    """Aligned at a small and at the released image size, a face matches itself and no other."""
    detector = open_detector(shared / "weights" / "scrfd_500m_bnkps.onnx", "cpu")
    network = onnxruntime.InferenceSession(
        shared / "weights" / "mobilefacenet.onnx", providers=["CPUExecutionProvider"]
    )

    def identity(picture: np.ndarray, size: int) -> np.ndarray:
        aligned = prepare_portrait(picture, detector, LARGEST, size, "portrait").aligned
        data = ((aligned * 255 - 127.5) / 128).astype(np.float32).transpose(2, 0, 1)[None]
        vector = network.run(None, {network.get_inputs()[0].name: data})[0][0]
        return vector / np.linalg.norm(vector)

    vectors = []
    for name in ("source_image.png", "s12.jpg"):
        picture = np.asarray(Image.open(shared / "media" / name).convert("RGB"))
        half = np.asarray(Image.fromarray(picture).reduce(2))
        vectors.append((identity(picture, 512), identity(half, 96)))
    (a, a_small), (b, b_small) = vectors
    assert a @ a_small > 0.7
    assert b @ b_small > 0.7
    assert a @ b < 0.3


@pytest.fixture(scope="module")
def real(shared: Path) -> FaceDetector:
    return open_detector(shared / "weights" / "scrfd_500m_bnkps.onnx", "cpu")


def painting(shared: Path, name: str) -> np.ndarray:
    return np.asarray(Image.open(shared / "media" / name).convert("RGB"))


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_face_partly_outside_of_its_picture(shared: Path, real: FaceDetector, side: str) -> None:
    whole = painting(shared, "s9.jpg")
    x1, y1, x2, y2 = (int(v) for v in LARGEST.pick(real.detect(whole), "s9").box)
    fifth_x, fifth_y = (x2 - x1) // 5, (y2 - y1) // 5
    cuts = {"left": np.s_[:, x1 + fifth_x :], "right": np.s_[:, : x2 - fifth_x], "top": np.s_[y1 + fifth_y :]}
    picture = np.ascontiguousarray(whole[cuts.get(side, np.s_[: y2 - fifth_y])])
    portrait = prepare_portrait(picture, real, LARGEST, 512, side)
    left, top, right, bottom = portrait.box
    assert 0 <= left < right <= picture.shape[1]
    assert 0 <= top < bottom <= picture.shape[0]
    assert (portrait.crop.shape, portrait.aligned.shape) == ((512, 512, 3), (112, 112, 3))
    edges = {"left": left == 0, "right": right == picture.shape[1], "top": top == 0, "bottom": bottom == len(picture)}
    assert edges[side]


def test_each_of_several_faces_can_be_chosen(shared: Path, real: FaceDetector) -> None:
    pictures = [painting(shared, name)[:500, :375] for name in ("s12.jpg", "s0.jpg", "s12.jpg")]
    pictures[1] = np.asarray(Image.fromarray(painting(shared, "s0.jpg")).crop((170, 0, 470, 400)).resize((375, 500)))
    beside = np.concatenate(pictures, axis=1)
    expected = [LARGEST.pick(real.detect(np.ascontiguousarray(picture)), "one").box for picture in pictures]
    for index, box in enumerate(expected):
        centre = (box[:2] + box[2:]) / 2 + [375 * index, 0]
        for choice in (f"index:{index}", f"{centre[0]:.0f},{centre[1]:.0f}"):
            found = prepare_portrait(beside, real, FaceChoice(choice), 128, choice).face.box
            assert np.abs((found[:2] + found[2:]) / 2 - centre).max() < 12

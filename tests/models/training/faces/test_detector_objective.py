"""The detector's training: scenes, anchor assignment, losses, and the exported file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from insightface.model_zoo import SCRFD, get_model
from torch import Tensor

from models.faces.detection.scrfd import SCRFDetector
from models.miniature import FIRST_HELD_OUT_SEED, Identity
from models.training.convolution import plain
from models.training.faces.anchors import anchors, assign, boxes_at, overlaps, points_at
from models.training.faces.detector_objective import DetectorNetwork, DetectorObjective, normalised
from models.training.faces.scenes import LARGEST_FACE, scene

SIDE = 96


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: so small a network is slower with more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    objective = DetectorObjective(side=SIDE)
    examples = [objective.example(np.random.default_rng(number)) for number in range(4)]
    found = {name: torch.stack([example[name] for example in examples]) for name in examples[0]}
    assert found["face"].any(1).sum() >= 2
    return found


@pytest.fixture(scope="module")
def network() -> DetectorNetwork:
    """Untrained, with weights that float16 holds."""
    torch.manual_seed(0)
    network = DetectorObjective().network()
    assert isinstance(network, DetectorNetwork)
    torch.nn.init.normal_(network.tell.weight, std=0.2)
    return network.half().float().eval()


@pytest.fixture(scope="module")
def file(network: DetectorNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detection")
    with torch.inference_mode():
        DetectorObjective().write(network, folder)
    return folder / "detector.onnx"


def rows(*boxes: tuple[float, float, float, float], real: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the boxes of a batch of one picture, and a mask of those that are faces."""
    count = len(boxes) if real is None else real
    return torch.tensor([boxes]), torch.arange(len(boxes))[None] < count


def test_an_example_depends_on_its_generator_alone() -> None:
    objective = DetectorObjective(side=SIDE)
    first, again, other = (objective.example(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first["picture"].shape == (SIDE, SIDE, 3)
    assert first["picture"].dtype == torch.uint8
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert (value.shape, value.dtype) == (other[name].shape, other[name].dtype)
    assert not torch.equal(first["picture"], other["picture"])


def test_scenes_have_faces_of_all_sizes_or_none() -> None:
    scenes = [scene(np.random.default_rng(number), 320) for number in range(60)]
    counts = [len(faces) for _, faces in scenes]
    assert min(counts) == 0
    assert max(counts) >= 2
    sizes = np.array([face.box[2:] - face.box[:2] for _, faces in scenes for face in faces])
    assert sizes[:, 0].min() < 32
    assert 200 < sizes[:, 0].max() <= LARGEST_FACE + 1
    for picture, faces in scenes:
        assert picture.shape == (320, 320, 3)
        for face in faces:
            middle = (face.box[:2] + face.box[2:]) / 2
            assert (middle > 0).all()
            assert (middle < 320).all()
            assert (face.keypoints >= face.box[:2] - 0.5).all()
            assert (face.keypoints <= face.box[2:] + 0.5).all()


def test_scenes_too_small_for_most_face_sizes() -> None:
    for number in range(40):
        picture, _ = scene(np.random.default_rng(number), 64)
        assert picture.shape == (64, 64, 3)


@pytest.mark.parametrize("held_out", [False, True])
def test_held_out_people_are_not_trained_on(held_out: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    from_seed = Identity.from_seed

    def recorded(seed: int) -> Identity:
        seeds.append(seed)
        return from_seed(seed)

    monkeypatch.setattr("models.training.sampling.Identity.from_seed", recorded)
    shown = [face for number in range(8) for face in scene(np.random.default_rng(number), SIDE, held_out)[1]]
    assert shown
    assert sum(seed >= FIRST_HELD_OUT_SEED for seed in seeds) >= len(shown) * held_out
    assert held_out or max(seeds) < FIRST_HELD_OUT_SEED


def test_anchors_are_in_the_order_of_the_outputs() -> None:
    places = anchors(64, 96)
    assert len(places) == 2 * (8 * 12 + 4 * 6 + 2 * 3)
    assert places[:3].tolist() == [[0, 0, 16, 8], [0, 0, 32, 8], [8, 0, 16, 8]]
    assert places[2 * 12].tolist() == [0, 8, 16, 8]
    assert places[-1].tolist() == [64, 32, 512, 32]


def test_a_face_is_assigned_to_anchors_of_its_size_at_its_centre() -> None:
    places = anchors(256, 256)
    (face,) = assign(places, *rows((112, 112, 144, 144), (0, 0, 0, 0), real=1))
    assigned = places[face == 0]
    assert (face == 1).sum() == 0
    assert [128, 128, 32, 8] in assigned.tolist()
    assert 1 <= len(assigned) <= 12
    assert set(assigned[:, 3].tolist()) == {8}
    assert ((assigned[:, :2] - 128).abs() < 16).all()
    (face,) = assign(places, *rows((0, 0, 256, 256)))
    assert set(places[face == 0, 3].tolist()) <= {16, 32}
    assert [128, 128, 256, 32] in places[face == 0].tolist()


def test_a_face_between_all_anchors_is_assigned_to_one() -> None:
    """Its box contains no anchor's centre."""
    places = anchors(64, 64)
    (face,) = assign(places, *rows((18, 18, 22, 22)))
    assert (face == 0).sum() == 1
    assert places[face == 0, 2:].tolist() == [[16, 8]]


def test_an_anchor_claimed_by_two_faces_belongs_to_the_nearer() -> None:
    places = anchors(128, 128)
    left, right = (32.0, 48.0, 64.0, 80.0), (44.0, 48.0, 76.0, 80.0)
    (both,) = assign(places, *rows(left, right))
    (alone,) = assign(places, *rows(left))
    shared = (alone == 0) & (both == 1)
    assert shared.any()
    middle = places[shared, 0]
    assert ((middle - 60).abs() <= (middle - 48).abs()).all()
    assert (both == 0).any()
    (nobody,) = assign(places, *rows(left, real=0))
    assert (nobody == -1).all()


def test_distances_are_in_strides_from_the_anchor() -> None:
    places = torch.tensor([[16.0, 32.0, 16.0, 8.0], [64.0, 64.0, 256.0, 32.0]])
    distances = torch.tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, 0.5, 1.0, 1.0]])
    assert boxes_at(places, distances).tolist() == [[8, 16, 40, 64], [96, 48, 96, 96]]
    points = points_at(places, torch.arange(10.0).expand(2, 10))
    assert points[0].tolist() == [[16, 40], [32, 56], [48, 72], [64, 88], [80, 104]]
    assert points[1, 4].tolist() == [64 + 8 * 32, 64 + 9 * 32]


def test_overlaps() -> None:
    box = torch.tensor([0.0, 0.0, 4.0, 4.0])
    others = torch.tensor([[0.0, 0.0, 4.0, 4.0], [2.0, 0.0, 6.0, 4.0], [5.0, 5.0, 6.0, 6.0], [3.0, 3.0, 1.0, 1.0]])
    assert overlaps(box, others).tolist() == pytest.approx([1, 1 / 3, 0, 0])


def test_the_loss_falls(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    objective = DetectorObjective(side=SIDE)
    network = objective.network()
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    found = []
    for _ in range(25):
        losses = objective.losses(network, batch)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append({name: value.item() for name, value in losses.items()})
    assert np.isfinite([value for losses in found for value in losses.values()]).all()
    assert found[-1]["loss"] < 0.75 * found[0]["loss"]
    assert found[-1]["box"] < 0.8 * found[0]["box"]
    assert found[-1]["points"] < 0.8 * found[0]["points"]


def test_the_loss_is_a_mean_over_the_pictures(network: DetectorNetwork, batch: dict[str, Tensor]) -> None:
    """Therefore workers may split a batch."""
    with torch.no_grad():
        whole = DetectorObjective().losses(network, batch)
        halves = [
            DetectorObjective().losses(network, {k: v[part] for k, v in batch.items()})
            for part in (slice(2), slice(2, 4))
        ]
    for name, value in whole.items():
        assert value.item() == pytest.approx(sum(half[name].item() for half in halves) / 2, rel=1e-4)


def test_a_batch_without_faces(network: DetectorNetwork, batch: dict[str, Tensor]) -> None:
    empty = {**batch, "face": torch.zeros_like(batch["face"])}
    losses = DetectorObjective().losses(network, empty)
    assert losses["box"].item() == losses["points"].item() == 0
    assert losses["loss"].isfinite()


def test_the_file_computes_what_the_network_computes(network: DetectorNetwork, file: Path) -> None:
    assert file.stat().st_size < 2e6
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [given.name for given in session.get_inputs()] == ["input.1"]
    names = [f"{kind}_{stride}" for kind in ("score", "bbox", "kps") for stride in (8, 16, 32)]
    assert [output.name for output in session.get_outputs()] == names
    for height, width in ((64, 96), (96, 64)):
        pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8))
        with torch.no_grad():
            scores, boxes, points = plain(network).half().float()(normalised(pixels))
        outputs = session.run(None, {"input.1": normalised(pixels).contiguous().numpy()})
        counts = [2 * (height // stride) * (width // stride) for stride in (8, 16, 32)]
        assert [value.shape for value in outputs] == [(n, k) for k in (1, 4, 10) for n in counts]
        expected = (scores.sigmoid()[..., None], boxes, points)
        for found, wanted in zip((outputs[:3], outputs[3:6], outputs[6:]), expected, strict=True):
            np.testing.assert_allclose(np.concatenate(found), wanted[0].numpy(), atol=1e-4, rtol=1e-4)


def test_insightface_decodes_it_alike(network: DetectorNetwork, file: Path) -> None:
    model = get_model(str(file), providers=["CPUExecutionProvider"])
    assert isinstance(model, SCRFD)
    model.prepare(0, input_size=(SIDE, SIDE), det_thresh=0.0)
    picture = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    boxes, points = model.detect(picture[..., ::-1])
    with torch.no_grad():
        scores, distances, away = plain(network).half().float()(normalised(torch.from_numpy(picture)[None]))
    best = scores[0].argmax()
    place = anchors(SIDE, SIDE)[best : best + 1]
    np.testing.assert_allclose(boxes[0, :4], boxes_at(place, distances[0, best])[0].numpy(), atol=1e-2)
    np.testing.assert_allclose(points[0], points_at(place, away[0, best : best + 1])[0].numpy(), atol=1e-2)


def test_troupe_detects_with_it(file: Path) -> None:
    detector = SCRFDetector(file, torch.device("cpu"))
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    assert isinstance(detector.detect_near(picture, np.array([20, 20, 60, 60], np.float32)), list)
    assert detector._near is not None, "the detection around one face needs a network of any input size"

"""Evaluation measures, on frames whose values are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from models.animator import Animator, load
from models.faces import FaceDetector, align_face, crop_head, head_box, open_detector
from models.faces.tracking import track_face
from models.miniature.init_weights import init_weights
from models.synthetic.world import draw_clip, draw_portrait
from tasks import media
from tasks.evaluation.metrics import MAX_PSNR, Evaluator, FrechetDistance, LpipsMeter, Subject, psnr, ssim
from tasks.evaluation.networks import Embedder, Networks
from tasks.quality.distances import similarity
from tasks.quality.torchscript import TorchScript
from tests.small import SMALL
from troupe import FaceChoice, Picture
from troupe.errors import InputError, WeightsError

Model = tuple[Animator, FaceDetector]
CPU = torch.device("cpu")
FRAMES = 17


class Apart(torch.nn.Module):
    """Stand-in for LPIPS: a mean difference."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a - b).abs().mean(dim=(1, 2, 3))


class Colours(torch.nn.Module):
    """Stand-in for a feature network: mean colours of the four quarters, over one frame or all."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.float().reshape(x.shape[0], 3, -1, x.shape[-2], x.shape[-1]).mean(dim=2)
        return torch.nn.functional.adaptive_avg_pool2d(x, 2).reshape(x.shape[0], -1)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """TorchScript files."""
    folder = tmp_path_factory.mktemp("networks")
    for name, module in {"lpips": Apart(), "features": Colours()}.items():
        torch.jit.script(module).save(str(folder / f"{name}.pt"))
    return {path.stem: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """An untrained miniature and its detector."""
    weights = tmp_path_factory.mktemp("quality") / "weights"
    init_weights(weights, 0, SMALL)
    config = json.loads((weights / "troupe.json").read_text())
    (weights / "troupe.json").write_text(json.dumps(config | {"image_size": 128, "window": 8}))
    return load(weights, "cpu", "float32"), open_detector(weights / "detector.onnx")


@pytest.fixture(scope="module")
def frames() -> list[Picture]:
    """A performance."""
    return [picture for picture, _ in draw_clip(3, 7, FRAMES, 25)]


@pytest.fixture(scope="module")
def known(model: Model, frames: list[Picture], tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Self-reenactment by a perfect model: the render is the clip itself."""
    animator, detector = model
    path = tmp_path_factory.mktemp("known") / "portrait.png"
    Image.fromarray(frames[0]).save(path)
    track = track_face(frames, detector, FaceChoice(), "clip")
    height, width = frames[0].shape[:2]
    perfect = [crop_head(frame, head_box(track.boxes[0], width, height), 128) for frame in frames]
    shots = (animator.encode_motion(frames, track),)
    return Subject(perfect, path, FaceChoice(), frames, shots, track, is_self=True)


def test_perfect_render(model: Model, known: Subject, networks: dict[str, Path]) -> None:
    features = TorchScript(networks["features"], CPU, "features")
    every = Networks(TorchScript(networks["lpips"], CPU, "--lpips"), features, features)
    evaluator = Evaluator(*model, Embedder(model[0], None), every)
    found = evaluator.measure(known)
    assert found["psnr"] == MAX_PSNR
    assert found["ssim"] == pytest.approx(1)
    assert found["lpips"] == found["temporal_lpips"] == found["landmarks"] == 0
    assert found["identity"] == pytest.approx(1)
    assert evaluator.compute_overall() == {"fid": pytest.approx(0, abs=1e-3), "fvd": None}  # one clip of 16 frames

    shifted = evaluator.measure(replace(known, render=[np.roll(frame, 3, axis=1) for frame in known.render]))
    assert 10 < (shifted["psnr"] or 0) < 40
    assert 0.2 < (shifted["ssim"] or 0) < 0.99
    assert (shifted["lpips"] or 0) > 0.01
    assert shifted["landmarks"] == pytest.approx(3 * 512 / 128, rel=0.35)
    assert (evaluator.compute_overall()["fvd"] or -1) >= 0

    with pytest.raises(InputError, match="length"):
        evaluator.measure(replace(known, render=list(known.render)[:-1]))


def test_cross_reenactment(model: Model, known: Subject) -> None:
    evaluator = Evaluator(*model, Embedder(model[0], None), Networks())
    found = evaluator.measure(replace(known, is_self=False))
    assert found["identity"] == pytest.approx(1, abs=0.35)
    assert (found["landmarks"] or 1) < 0.1
    assert found["pose"] is not None
    assert found["pose"] < 10
    with pytest.raises(InputError, match="more frames"):
        evaluator.measure(replace(known, is_self=False, render=[*known.render, known.render[0]]))  # type: ignore[index]


def test_without_networks_and_faces(model: Model, known: Subject) -> None:
    evaluator = Evaluator(*model, Embedder(model[0], None), Networks())
    black = [np.zeros((128, 128, 3), np.uint8)] * FRAMES
    for is_self in (True, False):
        found = evaluator.measure(replace(known, render=black, is_self=is_self))
        assert found["identity"] is found["landmarks"] is None
        assert found["flicker"] == 0
    assert evaluator.compute_overall() == {"fid": None, "fvd": None}
    assert Networks().missing == {"lpips", "temporal_lpips", "fid", "fvd"}


@pytest.mark.parametrize("deviation", [5.0, 20.0])
def test_known_noise_and_torchmetrics(deviation: float) -> None:
    random = np.random.default_rng(0)
    real = draw_portrait(3)[0][:96, :96]
    made = np.clip(np.round(real * 0.5 + 64 + random.normal(0, deviation, real.shape)), 0, 255).astype(np.uint8)
    clean = np.round(real * 0.5 + 64).astype(np.uint8)
    # The error is the noise and the rounding.
    expected = 10 * np.log10(255**2 / (deviation**2 + 1 / 12))
    assert psnr(made, clean) == pytest.approx(expected, abs=0.15)
    pair = [torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].double() / 255 for picture in (made, clean)]
    assert psnr(made, clean) == pytest.approx(float(peak_signal_noise_ratio(*pair, data_range=1.0)), abs=1e-5)
    _, map_of_it = structural_similarity_index_measure(*pair, data_range=1.0, return_full_image=True)
    # torchmetrics counts the border of half a window too, where the picture is made up.
    assert ssim(made, clean) == pytest.approx(float(map_of_it[..., 5:-5, 5:-5].mean()), abs=1e-9)


def test_frechet_of_known_normals(networks: dict[str, Path]) -> None:
    """Two normals of the same covariance are as far apart as their means."""
    metric = FrechetDistance(TorchScript(networks["features"], CPU, "features"))
    random = torch.Generator().manual_seed(0)
    samples = torch.rand(4000, 3, 2, 2, generator=random) * 100
    metric.update(samples, real=True)
    metric.update(samples + 5, real=False)
    assert metric.compute() == pytest.approx(12 * 5**2, rel=1e-3)


def test_temporal_lpips(networks: dict[str, Path]) -> None:
    """A still clip whose render trembles by ten levels."""
    lpips = LpipsMeter(TorchScript(networks["lpips"], CPU, "--lpips"))
    for n in range(40):
        lpips.update(np.full((8, 8, 3), 100 + 10 * (n % 2), np.uint8), np.full((8, 8, 3), 100, np.uint8))
    values = lpips.compute()
    assert values["lpips"] == pytest.approx(5 / 127.5, rel=1e-3)
    assert values["temporal_lpips"] == pytest.approx(10 / 127.5, rel=1e-3)


def test_invalid_network_files(networks: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(WeightsError, match="no file"):
        TorchScript(tmp_path / "none.pt", CPU, "--lpips")
    with pytest.raises(WeightsError, match=r"not TorchScript; save the network with torch.jit.script"):
        TorchScript(tmp_path / "text.pt", CPU, "--lpips")
    with pytest.raises(WeightsError, match="does not work as --lpips"):
        TorchScript(networks["lpips"], CPU, "--lpips")(torch.zeros(1, 3, 2, 2))


def test_embedder_separates_real_people(shared: Path, model: Model) -> None:
    """A released embedder, on real people."""
    embed = Embedder(model[0], shared / "weights/mobilefacenet.onnx")
    detector = open_detector(shared / "weights/scrfd_500m_bnkps.onnx")

    def vector(picture: Picture) -> torch.Tensor:
        return embed(align_face(picture, FaceChoice().pick(detector.detect(picture), "picture").keypoints))

    def ends(name: str) -> list[torch.Tensor]:
        every = list(media.decode(shared / "media" / name, 0, 1))
        return [vector(every[0]), vector(every[-1])]

    clips = [ends("d0.mp4"), ends("d9.mp4"), ends("d19.mp4")]
    people = [*(first for first, _ in clips), vector(media.read_picture(shared / "media/s12.jpg"))]
    for first, last in clips:
        assert similarity(first, last) > 0.5
    for one in range(len(people)):
        for other in range(one):
            assert similarity(people[one], people[other]) < 0.35

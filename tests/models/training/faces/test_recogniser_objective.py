"""The recogniser's training: examples, margin, losses, and the exported file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from insightface.model_zoo import ArcFaceONNX, get_model
from torch import Tensor, nn

from models.appearance import IdentityEncoder
from models.miniature import Identity, Moment, draw_portrait, render
from models.training.convolution import Convolution, Residual, plain
from models.training.faces.recogniser_objective import RecogniserObjective, with_margin
from models.training.sampling import swap_outfit


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return RecogniserObjective(people=6).network().eval()


@pytest.fixture(scope="module")
def file(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recognition")
    with torch.inference_mode():
        RecogniserObjective(people=6).write(network, folder)
    return folder / "arcface.onnx"


def test_an_example_depends_on_its_generator_alone() -> None:
    objective = RecogniserObjective(people=50)
    first, again, other = (objective.example(np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first["aligned"].shape == (112, 112, 3)
    assert first["aligned"].dtype == torch.uint8
    assert 0 <= int(first["person"]) < 50
    for name, value in first.items():
        assert torch.equal(value, again[name])
        assert (value.shape, value.dtype) == (other[name].shape, other[name].dtype)
    assert not torch.equal(first["aligned"], other["aligned"])


def test_another_outfit_keeps_the_face() -> None:
    person = swap_outfit(Identity.from_seed(5), Identity.from_seed(6))
    picture, face = render(person, Moment(), (128, 128))
    before, same = render(Identity.from_seed(5), Moment(), (128, 128))
    assert np.array_equal(face.keypoints, same.keypoints)
    x1, y1, x2, y2 = (face.box + np.array([8, 8, -8, -12])).astype(int)
    assert np.array_equal(picture[y1:y2, x1:x2], before[y1:y2, x1:x2])
    assert not np.array_equal(picture[:20, :20], before[:20, :20])


def test_the_margin_widens_only_the_angle_to_the_own_class() -> None:
    cosines = torch.tensor([[0.5, 0.2, -0.9], [0.1, 0.0, -0.99]])
    wider = with_margin(cosines, torch.tensor([0, 2]), 0.3)
    assert wider[0].tolist() == pytest.approx([math.cos(math.acos(0.5) + 0.3), 0.2, -0.9])
    # The angle plus the margin exceeds pi, where the cosine would rise again.
    assert wider[1].tolist() == pytest.approx([0.1, 0.0, -0.99 - 0.3 * math.sin(0.3)])
    own = torch.linspace(-1, 1, 201)[:, None]
    assert (with_margin(own, torch.zeros(201, dtype=torch.long), 0.3).diff(dim=0) > 0).all()


def test_the_loss_falls() -> None:
    torch.manual_seed(0)
    objective = RecogniserObjective(people=6)
    network = objective.network()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    examples = [objective.example(np.random.default_rng(number)) for number in range(8)]
    batch = {name: torch.stack([example[name] for example in examples]) for name in examples[0]}
    found = []
    for _ in range(10):
        losses = objective.losses(network, batch)
        losses["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(losses["loss"].item())
    assert found[-1] < found[0] / 3
    assert objective.losses(network, batch)["right"].item() == 1


def test_plain_convolutions_are_equivalent() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(Convolution(3, 8, stride=2), nn.ReLU(), Residual(8))
    x = torch.randn(2, 3, 16, 16)
    copy = plain(network)
    assert not any(isinstance(layer, Convolution) for layer in copy.modules())
    torch.testing.assert_close(copy(x), network(x))
    assert isinstance(network[0], Convolution), "the network itself must not change"
    assert network[0].filters.mean(dim=(1, 2, 3)).abs().max() < 1e-6


def test_convolutions_preserve_the_variance() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 16, 32, 32)
    for _ in range(4):
        x = torch.relu(Convolution(16, 16)(x))
    assert 0.3 < x.square().mean().item() < 3


def test_the_file_computes_what_the_network_computes(network: nn.Module, file: Path) -> None:
    assert file.stat().st_size < 1.5e6
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    aligned = np.random.default_rng(0).random((1, 3, 112, 112), dtype=np.float32)
    (found,) = session.run(None, {"data": aligned})
    with torch.no_grad():
        expected: Tensor = plain(network).half().float()(torch.from_numpy(aligned))
    assert found.shape == (1, 512)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4, rtol=1e-4)


def test_the_identity_encoder_and_insightface_read_it(file: Path) -> None:
    encoder = IdentityEncoder(file)
    first, second = (encoder(draw_portrait(seed, (112, 112))[0]) for seed in (1, 2))
    assert float(first.norm()) == pytest.approx(1, abs=1e-5)
    assert float((first * second).sum()) < 0.999
    assert isinstance(get_model(str(file), providers=["CPUExecutionProvider"]), ArcFaceONNX)

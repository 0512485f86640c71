"""The untrained recogniser has the inputs and outputs of an ArcFace network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from insightface.model_zoo import ArcFaceONNX, get_model

from models.appearance import IdentityEncoder
from models.miniature import draw_portrait
from models.miniature.build_recogniser import build_recogniser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recogniser") / "arcface.onnx"
    onnx.save(build_recogniser(0), path)
    return path


def test_insightface_recognises_the_file_as_arcface(file: Path) -> None:
    model = get_model(str(file), providers=["CPUExecutionProvider"])
    assert isinstance(model, ArcFaceONNX)
    assert model.input_name == "data"
    assert tuple(model.input_size) == (112, 112)
    picture = draw_portrait(1, (112, 112))[0]
    assert model.get_feat(picture).shape == (1, 512)


def test_different_pictures_have_different_embeddings(file: Path) -> None:
    encoder = IdentityEncoder(file)
    pictures = [draw_portrait(seed, (112, 112))[0] for seed in (1, 2)]
    first, second = (encoder(picture) for picture in pictures)
    assert torch.equal(first, encoder(pictures[0]))
    assert float((first * second).sum()) < 0.999


def test_weights_depend_on_the_seed_alone() -> None:
    assert build_recogniser(3).SerializeToString() == build_recogniser(3).SerializeToString()
    assert build_recogniser(3).SerializeToString() != build_recogniser(4).SerializeToString()


def test_embeddings_of_another_length(tmp_path: Path) -> None:
    onnx.save(build_recogniser(0, identity=64), tmp_path / "arcface.onnx")
    vector = IdentityEncoder(tmp_path / "arcface.onnx", 64)(np.zeros((112, 112, 3), np.uint8))
    assert vector.shape == (1, 64)

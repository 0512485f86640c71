"""The identity encoder, on small ONNX networks with known outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from models.appearance import IdentityEncoder
from troupe.errors import WeightsError

LENGTH = 512
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(3, LENGTH)).astype(np.float32)


def write(
    path: Path,
    *,
    batch: int | str = 1,
    size: int = 112,
    outputs: int = 1,
    weight: np.ndarray = WEIGHT,
    layout: tuple[int, ...] | None = None,
) -> Path:
    """Write a network that multiplies the mean of each channel by `weight`."""
    nodes = [
        helper.make_node("ReduceMean", ["data"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weight"], ["fc0"]),
        *(helper.make_node("Identity", ["fc0"], [f"fc{i}"]) for i in range(1, outputs)),
    ]
    shape: list[int | str] = list(layout) if layout else [batch, 3, size, size]
    results = [(f"fc{i}", [batch, weight.shape[1]]) for i in range(outputs)]
    return save(path, nodes, shape, results, {"weight": weight})


def write_of_unknown_length(path: Path) -> Path:
    """Write a network that returns the positions of non-zero pixels, whose number depends on the picture."""
    nodes = [
        helper.make_node("NonZero", ["data"], ["places"]),
        helper.make_node("Cast", ["places"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "row"], ["fc"]),
    ]
    return save(path, nodes, [1, 3, 112, 112], [("fc", [1, "length"])], {"row": np.array([1, -1])})


def save(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: list[int | str],
    results: list[tuple[str, list[int | str]]],
    constants: dict[str, np.ndarray],
) -> Path:
    graph = helper.make_graph(
        nodes,
        "arcface",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, sides) for name, sides in results],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, path)
    return path


def picture() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)


@pytest.mark.parametrize("batch", [1, "N"])
def test_the_embedding_is_normalised_and_pixels_are_in_0_to_1(tmp_path: Path, batch: int | str) -> None:
    encode = IdentityEncoder(write(tmp_path / "arcface.onnx", batch=batch))
    aligned = picture()
    expected = (aligned.astype(np.float64) / 255).mean(axis=(0, 1)) @ WEIGHT
    vector = encode(aligned)
    assert vector.dtype == torch.float32
    assert vector.shape == (1, LENGTH)
    np.testing.assert_allclose(vector[0].numpy(), expected / np.linalg.norm(expected), rtol=1e-4, atol=1e-6)
    assert float(vector.norm()) == pytest.approx(1)


def test_bytes_and_floats_give_the_same_embedding(tmp_path: Path) -> None:
    encode = IdentityEncoder(write(tmp_path / "arcface.onnx"))
    torch.testing.assert_close(encode(picture()), encode((picture() / 255).astype(np.float32)))


def test_another_length_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "arcface.onnx", weight=WEIGHT[:, :32])
    assert IdentityEncoder(path, length=32)(picture()).shape == (1, 32)
    with pytest.raises(WeightsError, match=r"to \[\[1, 512\]\]"):
        IdentityEncoder(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 128},
        {"outputs": 2},
        {"batch": 2},
        {"layout": (1, 112, 112, 3)},
    ],
)
def test_another_network_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    path = tmp_path / "other.onnx"
    with pytest.raises(WeightsError, match=r"other\.onnx"):
        IdentityEncoder(write(path, **wrong))  # type: ignore[arg-type]


def test_an_undeclared_length_is_checked_at_run_time(tmp_path: Path) -> None:
    encode = IdentityEncoder(write_of_unknown_length(tmp_path / "arcface.onnx"))
    aligned = np.zeros_like(picture())
    aligned[5, 6:16] = 255  # 30 values are not zero, each has 4 coordinates
    with pytest.raises(WeightsError, match=r"\(1, 120\)"):
        encode(aligned)


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_embedding_without_norm_is_refused(tmp_path: Path, value: float) -> None:
    encode = IdentityEncoder(write(tmp_path / "arcface.onnx", weight=np.full_like(WEIGHT, value)))
    with pytest.raises(WeightsError, match="norm"):
        encode(picture())


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    encode = IdentityEncoder(write(tmp_path / "arcface.onnx"))
    with pytest.raises(ValueError, match=r"\(112, 112, 3\)"):
        encode(picture()[:64])


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nothing\.onnx cannot be read"):
        IdentityEncoder(tmp_path / "nothing.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.onnx cannot be read"):
        IdentityEncoder(tmp_path / "text.onnx")


def test_a_real_recognition_network_of_another_length(shared: Path) -> None:
    """Its input has a dynamic batch size and another name; only the length does not fit."""
    path = shared / "weights" / "mobilefacenet.onnx"
    with pytest.raises(WeightsError, match="128"):
        IdentityEncoder(path)
    assert IdentityEncoder(path, length=128)(picture()).shape == (1, 128)

"""Scripted and tiny detectors, and faces at known positions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from troupe.faces import Face, Floats, Picture

CELL = 32


class ListedFaces:
    """A detector that returns the n-th list of faces for the n-th picture."""

    def __init__(self, answers: Sequence[Sequence[Face]]) -> None:
        self.answers = list(answers)
        self.pictures: list[Picture] = []

    def detect(self, picture: Picture) -> list[Face]:
        if not self.pictures or self.pictures[-1] is not picture:
            self.pictures.append(picture)
        return list(self.answers[len(self.pictures) - 1])

    def detect_near(self, picture: Picture, box: Floats) -> list[Face]:
        return self.detect(picture)


def face(x1: float, y1: float, x2: float, y2: float, score: float = 0.9) -> Face:
    """Return a face with keypoints at their usual positions in the box."""
    places = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    points = places * [x2 - x1, y2 - y1] + [x1, y1]
    return Face(np.array([x1, y1, x2, y2], dtype=np.float32), points.astype(np.float32), score)


def blank(width: int, height: int) -> Picture:
    return np.zeros((height, width, 3), dtype=np.uint8)


def write_scrfd(path: Path, size: int, keypoints: bool = True) -> None:
    """Write an ONNX file with the outputs of an SCRFD that detects every red cell of 32 x 32 pixels in its input.

    The red value of a cell is its score, the cell is the box, and all five keypoints are at its centre.
    """
    nodes = [
        helper.make_node("AveragePool", ["data"], ["cells"], kernel_shape=[CELL, CELL], strides=[CELL, CELL]),
        helper.make_node("Split", ["cells"], ["red", "green", "blue"], axis=1, num_outputs=3),
        helper.make_node("Add", ["red", "one"], ["shifted"]),
        helper.make_node("Mul", ["shifted", "half"], ["brightness"]),
        helper.make_node("Reshape", ["brightness", "column"], ["first_anchor"]),
        helper.make_node("Sub", ["first_anchor", "first_anchor"], ["second_anchor"]),
        helper.make_node("Concat", ["first_anchor", "second_anchor"], ["both"], axis=1),
        helper.make_node("Reshape", ["both", "column"], ["score_32"]),
    ]
    constants = {
        "one": np.array(1, dtype=np.float32),
        "half": np.array(0.5, dtype=np.float32),
        "column": np.array([-1, 1], dtype=np.int64),
    }
    names: list[tuple[str, int]] = []
    for kind, width in (("score", 1), ("box", 4), ("points", 10))[: 3 if keypoints else 2]:
        for stride in (8, 16, CELL):
            name, anchors = f"{kind}_{stride}", 2 * (size // stride) ** 2
            names.append((name, width))
            if name == "score_32":
                continue
            row = {"score": [0.0], "box": [0.0, 0.0, 1.0, 1.0], "points": [0.5] * 10}[kind]
            constants[f"{name}_value"] = np.tile(np.array(row, dtype=np.float32), (anchors, 1))
            nodes.append(helper.make_node("Identity", [f"{name}_value"], [name]))
    graph = helper.make_graph(
        nodes,
        "red_cells",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width]) for name, width in names],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)

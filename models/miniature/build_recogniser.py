"""An untrained face recogniser with random weights and the inputs and outputs of an ArcFace network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx

from models.miniature.onnx_graph import Graph

__all__ = ["build_recogniser"]

_SIZE = 112
_CHANNELS = (3, 16, 32, 64, 64)
_POOL, _STRIDE, _CELLS = 4, 3, 4  # pooling to 2 x 2 cells


def build_recogniser(seed: int, identity: int = 512) -> onnx.ModelProto:
    """Build the recogniser as an ONNX model.

    The input `data` is (1, 3, 112, 112), RGB in [0, 1] as in the release; the output `embedding` is (1, identity), of
    any norm. Four convolutions of stride 2, average pooling to 2 x 2 cells, and one linear layer.
    """
    rng = np.random.default_rng((seed, 0xFACE))
    graph = Graph()
    x = graph.input("data") - 0.5
    for layer, (channels, wider) in enumerate(pairwise(_CHANNELS)):
        kernel = rng.standard_normal((wider, channels, 3, 3)) * np.sqrt(2 / (9 * channels))
        weight = graph.constant(f"conv{layer}.weight", kernel.astype(np.float32))
        x = graph.node("Conv", x, weight, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        x = graph.node("Relu", x)
    x = graph.node("AveragePool", x, kernel_shape=[_POOL, _POOL], strides=[_STRIDE, _STRIDE])
    features = _CELLS * _CHANNELS[-1]
    linear = rng.standard_normal((features, identity)) / np.sqrt(features)
    graph.node(
        "MatMul", x.shaped(1, features), graph.constant("fc.weight", linear.astype(np.float32)), output="embedding"
    )
    return graph.model("miniature_recogniser", {"data": (1, 3, _SIZE, _SIZE)}, {"embedding": (1, identity)})

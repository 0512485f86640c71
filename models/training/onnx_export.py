"""Networks as ONNX files."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

__all__ = ["export_onnx"]

_OPSET = 17


def export_onnx(
    network: nn.Module,
    example: Tensor,
    path: Path,
    given: str,
    outputs: Sequence[str],
    free: Mapping[str, Mapping[int, str]] | None = None,
) -> None:
    """Write a network with one input as ONNX: float32 all through, its weights kept as float16.

    Args:
        example: an input.
        given: name of the input.
        outputs: their names.
        free: of inputs and outputs, the axes whose length is free, and a name for each.
    """
    with warnings.catch_warnings():
        # The exporter that is not deprecated needs onnxscript; this one needs nothing.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            dynamo=False,
            opset_version=_OPSET,
            input_names=[given],
            output_names=list(outputs),
            dynamic_axes=free,
        )
    model = onnx.load(path)
    _halve(model.graph, network.state_dict().keys())
    model.producer_name, model.producer_version = "troupe", ""
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _halve(graph: onnx.GraphProto, names: Collection[str]) -> None:
    """Keep these tensors as float16, each with a node that makes it float32; a runtime does so once, when it loads."""
    casts = []
    for tensor in graph.initializer:
        name = tensor.name
        if name in names and tensor.data_type == TensorProto.FLOAT:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)

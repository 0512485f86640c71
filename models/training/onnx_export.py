"""Export of networks to ONNX."""

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
    """Export a network with one input to ONNX: computed in float32, its weights stored as float16.

    Args:
        example: an example input.
        given: name of the input.
        outputs: names of the outputs.
        free: dynamic axes, with a name each, by input or output.
    """
    with warnings.catch_warnings():
        # The exporter that is not deprecated requires onnxscript.
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
    """Store these tensors as float16, each with a cast to float32; a runtime folds it once, when it loads the file."""
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

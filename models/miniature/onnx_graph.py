"""Building ONNX graphs with Python operators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Graph", "Shape", "Value"]

Shape = Sequence[int | str]
"""Shape of an input or output; names are dynamic axes."""

_OPSET = 17
_IR_VERSION = 8  # of opset 17; some runtimes cannot read the newer default of the onnx package


class Value:
    """A tensor of a graph under construction, with arithmetic operators."""

    def __init__(self, graph: Graph, name: str) -> None:
        self.graph, self.name = graph, name

    def __add__(self, other: Value | float) -> Value:
        return self.graph.node("Add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        return self.graph.node("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return self.graph.node("Sub", other, self)

    def __mul__(self, other: Value | float) -> Value:
        return self.graph.node("Mul", self, other)

    def __truediv__(self, other: Value | float) -> Value:
        return self.graph.node("Div", self, other)

    def __gt__(self, other: Value | float) -> Value:
        """1 where it is, else 0."""
        return self.graph.cast(self.graph.node("Greater", self, other))

    def __lt__(self, other: Value | float) -> Value:
        """1 where it is, else 0."""
        return self.graph.cast(self.graph.node("Less", self, other))

    def sqrt(self) -> Value:
        """Return the square root."""
        return self.graph.node("Sqrt", self)

    def clip(self, low: float, high: float) -> Value:
        """Limit to a range."""
        return self.graph.node("Clip", self, low, high)

    def total(self, *axes: int) -> Value:
        """Sum over axes, by default over all; they are kept with length 1."""
        return self.graph.node("ReduceSum", self, self.graph.integers(axes or (0, 1)), keepdims=1)

    def max(self) -> Value:
        """Return the maximum over all axes, which are kept with length 1."""
        return self.graph.node("ReduceMax", self, keepdims=1)

    def min(self) -> Value:
        """Return the minimum over all axes, which are kept with length 1."""
        return self.graph.node("ReduceMin", self, keepdims=1)

    def where(self, condition: Value, otherwise: float) -> Value:
        """Keep values where the condition is not 0; use `otherwise` elsewhere."""
        return self.graph.node("Where", self.graph.true(condition), self, otherwise)

    def shaped(self, *shape: int) -> Value:
        """Reshape; one length may be -1."""
        return self.graph.node("Reshape", self, self.graph.integers(shape))


class Graph:
    """A graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def input(self, name: str) -> Value:
        """Return an input of the graph."""
        return Value(self, name)

    def constant(self, name: str, value: NDArray[np.float32]) -> Value:
        """Add a tensor of weights."""
        return self._constant(name, value)

    def model(self, name: str, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> onnx.ModelProto:
        """Build the model. Inputs and outputs are float32; outputs are nodes of these names."""

        def described(shapes: Mapping[str, Shape]) -> list[onnx.ValueInfoProto]:
            return [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in shapes.items()]

        model = helper.make_model(
            helper.make_graph(self.nodes, name, described(inputs), described(outputs), list(self.constants.values())),
            opset_imports=[helper.make_opsetid("", _OPSET)],
            producer_name="troupe",
        )
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model)
        return model

    def node(self, kind: str, *inputs: Value | float, output: str = "", **attributes: Any) -> Value:
        """Add an operator and return its first output."""
        names = [value.name if isinstance(value, Value) else self.number(value).name for value in inputs]
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return Value(self, name)

    def number(self, value: float) -> Value:
        """Add a float32 scalar."""
        return self._constant(f"number_{value!r}", np.array(value, np.float32))

    def integer(self, value: int) -> Value:
        """Add an int64 scalar."""
        return self._constant(f"integer_{value}", np.array(value, np.int64))

    def integers(self, values: Sequence[int]) -> Value:
        """Add an int64 vector (N,)."""
        return self._constant(f"integers_{'_'.join(map(str, values))}", np.array(values, np.int64))

    def cast(self, value: Value) -> Value:
        """Cast to float32."""
        return self.node("Cast", value, to=TensorProto.FLOAT)

    def true(self, value: Value) -> Value:
        """Cast to bool."""
        return self.node("Cast", value, to=TensorProto.BOOL)

    def length(self, value: Value, axis: int) -> Value:
        """Return the length of an axis, an int64 scalar."""
        return self.node("Gather", self.node("Shape", value), self.integer(axis), axis=0)

    def count(self, length: Value) -> Value:
        """Return 0, 1, ..., length - 1 as float32."""
        return self.cast(self.node("Range", self.integer(0), length, self.integer(1)))

    def joined(self, values: Sequence[Value]) -> Value:
        """Concatenate along axis 1."""
        return self.node("Concat", *values, axis=1)

    def _constant(self, name: str, value: NDArray[Any]) -> Value:
        self.constants.setdefault(name, numpy_helper.from_array(value, name))
        return Value(self, name)

"""ArcFace-shaped face recognition networks (Deng et al., arXiv 1801.07698), run from an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch

from models.faces.alignment import ALIGNED_SIZE
from troupe.errors import WeightsError
from troupe.faces import Floats

__all__ = ["ArcFace"]

INPUT_SHAPE = (1, 3, ALIGNED_SIZE, ALIGNED_SIZE)


class ArcFace:
    """A network from an aligned face to an embedding. It runs on the CPU: one face is not worth a GPU's memory.

    Each caller normalises pixels and embeddings its own way, because the same file is used with different conventions.

    Args:
        path: path of an ONNX file with one input (1, 3, 112, 112).
        length: length of the embedding that the file must declare for its only output; None accepts any output.

    Raises:
        WeightsError: the file does not exist, cannot be read, or holds a different network.
    """

    def __init__(self, path: Path, length: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # errors are raised as well
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no base class of their own
            first_line = str(error).partition("\n")[0]
            raise WeightsError(f"{path} cannot be read as an ONNX network: {first_line}") from error
        inputs, outputs = session.get_inputs(), session.get_outputs()
        fits = len(inputs) == 1 and inputs[0].type == "tensor(float)" and _admits(inputs[0].shape, INPUT_SHAPE)
        if length is not None:
            fits = fits and len(outputs) == 1 and _admits(outputs[0].shape, (1, length))
        if not fits:
            raise WeightsError(
                f"{path} is not an ArcFace network: it maps {[node.shape for node in inputs]} to "
                f"{[node.shape for node in outputs]}, expected [{list(INPUT_SHAPE)}] to [[1, {length or 'N'}]]"
            )
        self._session = session
        self._input = inputs[0].name

    def __call__(self, pixels: Floats) -> Floats:
        """Return the raw output, usually (1, N) float32.

        Args:
            pixels: (112, 112, 3) float32 RGB of an aligned face, in the range that the network was trained with.
        """
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        return np.asarray(self._session.run(None, {self._input: batch})[0], dtype=np.float32)


def _admits(declared: list[int | str | None] | None, shape: tuple[int, ...]) -> bool:
    """Whether a declared shape allows `shape`; names and None are free sides, no shape at all allows everything."""
    if not declared:
        return True
    return len(declared) == len(shape) and all(
        not isinstance(side, int) or side == wanted for side, wanted in zip(declared, shape, strict=True)
    )

"""Who a face belongs to, as one vector: ArcFace (Deng et al., arXiv 1801.07698) from an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from troupe.errors import WeightsError
from troupe.faces import Floats, Picture

__all__ = ["IdentityEncoder"]

SIZE = 112


class IdentityEncoder:
    """An ArcFace network, run on the CPU: once per identity, it is not worth a GPU's memory.

    Args:
        path: of the ONNX file; one input (1, 3, 112, 112), one output (1, length).
        length: of the identity vector.

    Raises:
        WeightsError: there is no such file, or the network in it is another.
    """

    def __init__(self, path: Path, length: int = 512) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3  # what is wrong with the file is said by the exception
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's have no base of their own
            raise WeightsError(f"{path} cannot be read as an ONNX network: {error}") from error
        inputs = [(node.shape, node.type) for node in session.get_inputs()]
        outputs = [node.shape for node in session.get_outputs()]
        if not (
            len(inputs) == len(outputs) == 1
            and inputs[0][1] == "tensor(float)"
            and _admits(inputs[0][0], (1, 3, SIZE, SIZE))
            and _admits(outputs[0], (1, length))
        ):
            raise WeightsError(
                f"{path} is no ArcFace network of {length} numbers: it maps {[shape for shape, _ in inputs]} to "
                f"{outputs}, not [[1, 3, {SIZE}, {SIZE}]] to [[1, {length}]]"
            )
        self._path = path
        self._session = session
        self._input = session.get_inputs()[0].name
        self._length = length

    def __call__(self, aligned: Picture | Floats) -> Tensor:
        """
        Args:
            aligned: (112, 112, 3) RGB of the aligned face, uint8 or floats in [0, 1]. The network sees [0, 1], without
                the mean and deviation usual for ArcFace: the release does this, so the adapters expect it.

        Returns:
            (1, length) float32, of unit norm.

        Raises:
            ValueError: a picture of another size.
            WeightsError: the network gives no direction.
        """
        if aligned.shape != (SIZE, SIZE, 3):
            raise ValueError(f"an aligned face is ({SIZE}, {SIZE}, 3), not {aligned.shape}")
        pixels = np.asarray(aligned, dtype=np.float32)
        if aligned.dtype == np.uint8:
            pixels = pixels / np.float32(255)
        batch = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
        vector = np.asarray(self._session.run(None, {self._input: batch})[0], dtype=np.float32)
        norm = float(np.linalg.norm(vector))
        if vector.shape != (1, self._length) or not np.isfinite(norm) or norm == 0:
            raise WeightsError(f"{self._path} gave an identity vector of shape {vector.shape} and norm {norm}")
        return torch.from_numpy(vector / np.float32(norm))


def _admits(declared: list[int | str | None] | None, shape: tuple[int, ...]) -> bool:
    """Whether a declared shape, with names or None for free sides, or None for any, can be `shape`."""
    if not declared:
        return True
    return len(declared) == len(shape) and all(
        not isinstance(side, int) or side == wanted for side, wanted in zip(declared, shape, strict=True)
    )

"""TorchScript networks for measuring, loaded from the user's files; none is part of troupe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from troupe.errors import WeightsError
from troupe.files import is_torchscript

__all__ = ["TorchScript"]


class TorchScript:
    """A TorchScript module loaded from a file.

    Args:
        path: the file.
        device: device to run it on.
        purpose: option that names it, for messages.

    Raises:
        WeightsError: the file does not exist or is not TorchScript.
    """

    def __init__(self, path: Path, device: torch.device, purpose: str) -> None:
        if not path.is_file():
            raise WeightsError(f"no file {path} for {purpose}")
        try:
            self._module = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            if is_torchscript(path):
                problem = f"cannot be loaded: {str(error).splitlines()[0]}"
            else:
                problem = "is not TorchScript; save the network with torch.jit.script(network).save(FILE)"
            raise WeightsError(f"{path} for {purpose} {problem}") from error
        self._device, self._path, self._purpose = device, path, purpose

    @torch.inference_mode()
    def __call__(self, *inputs: Tensor) -> Tensor:
        """Return the output for N inputs as (N, D) float64 on the CPU.

        Raises:
            WeightsError: the module fails on these inputs, or does not return a tensor of N entries.
        """
        try:
            out: Any = self._module(*(value.to(self._device) for value in inputs))
        except RuntimeError as error:
            raise WeightsError(
                f"{self._path} does not work as {self._purpose}: {str(error).splitlines()[-1]}"
            ) from error
        if not isinstance(out, Tensor) or out.ndim == 0 or len(out) != len(inputs[0]):
            raise WeightsError(
                f"{self._path} does not work as {self._purpose}: its output is not a tensor with one entry per input"
            )
        return out.double().cpu().reshape(len(out), -1)

"""Files that a weights directory may lack, because users train them for the networks that are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from models.tensorfile import write_safetensors
from models.weight_files import PartName
from models.weights.checkpoint import iter_tensors
from models.weights.layout import existing_part_file, find_part
from troupe.errors import WeightsError
from troupe.files import replacing

__all__ = ["OptionalPart", "fingerprint"]


@dataclass(frozen=True)
class OptionalPart:
    """One of these files.

    Attributes:
        name: name of the file, and of the part of `troupe train` that makes it.
        what: what messages call it.
        version: version of its content.
        purpose: what needs it, and the verb.
        instead: what can be used without it.
    """

    name: str
    what: str
    version: str
    purpose: str
    instead: str

    @property
    def how_to_get(self) -> str:
        """What to do without it, for messages."""
        return f"train one with `troupe train FILE --part {self.name}` (docs/training.md)"

    def file(self, directory: Path) -> Path:
        """Return its path in a weights directory."""
        return directory / "troupe" / f"{self.name}.safetensors"

    def write(self, directory: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Write it into a weights directory, with what `read_about` returns."""
        path = self.file(directory)
        path.parent.mkdir(exist_ok=True)
        text = json.dumps({"version": self.version, **about}, sort_keys=True)
        with replacing(path, sole_writer=True) as written:
            write_safetensors(written, dict(tensors), {"troupe": text})

    def read_about(self, directory: Path) -> dict[str, Any]:
        """Return what was written about it.

        Raises:
            WeightsError: the file is damaged or has another version.
        """
        try:
            with safe_open(self.file(directory), framework="pt") as file:
                about: dict[str, Any] = json.loads((file.metadata() or {}).get("troupe", "{}"))
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"cannot be read as a {self.what}: {error}") from error
        if about.get("version") != self.version:
            raise WeightsError(f"is {about.get('version', 'something else')}, not {self.version}; {self.how_to_get}")
        return about

    def require(self, directory: Path, problem_of: Callable[[Path], str]) -> Path:
        """Return its path.

        Args:
            problem_of: returns why the file in a directory cannot be used; empty if it can.

        Raises:
            WeightsError: the directory has none, or it cannot be used.
        """
        path = self.file(directory)
        if not path.is_file():
            raise WeightsError(
                f"{directory} has no {self.what}, which {self.purpose}; {self.how_to_get}, or use {self.instead}"
            )
        if problem := problem_of(directory):
            raise WeightsError(f"{path}: {problem}")
        return path


def fingerprint(directory: Path, part: PartName, values: int | None = None) -> str:
    """Return a hash of a network, whatever the format of its file.

    Args:
        values: number of values of each tensor that are read; None for all.

    Raises:
        WeightsError: its file is missing or unreadable.
    """
    digest = hashlib.sha256()
    for name, value in sorted(iter_tensors(existing_part_file(directory, find_part(part)))):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.flatten()[:values].float().numpy().tobytes())
    return digest.hexdigest()

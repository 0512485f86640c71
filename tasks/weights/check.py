"""Check a weights directory, and convert its `.pth` files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from models import weights
from models.weights import PartReport, absent_parts
from tasks.weights.download import note_converted
from troupe.errors import WeightsError

__all__ = ["PartReport", "absent_parts", "check", "convert"]


def check(directory: Path) -> list[PartReport]:
    """Report on every file of the directory, without loading it.

    Raises:
        WeightsError: the directory does not exist, or its configs are invalid.
    """
    return weights.inspect_weights(directory)


def convert(directory: Path) -> Iterator[Path]:
    """Write a `.safetensors` file beside every `.pth` that has none, and yield each when it is complete.

    Raises:
        WeightsError: the directory does not exist, a `.pth` file cannot be read, or the new one cannot be written.
    """
    if not directory.is_dir():
        raise WeightsError(f"{directory} is not a directory")
    try:
        for converted in weights.convert(directory):
            note_converted(directory, converted)
            yield converted
    except OSError as error:
        raise WeightsError(f"{directory} cannot be converted: {error}") from error

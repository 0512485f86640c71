"""Inspection of a weights directory: every file compared with the network it belongs to, without loading values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.face_files import DETECTOR_FILES, RECOGNISER_FILE
from models.weights.checkpoint import iter_tensors, source_hash
from models.weights.distilled import FAST, distilled_problem
from models.weights.layout import PARTS, Part, find_part_file
from models.weights.optional_part import OptionalPart
from models.weights.voice import VOICE, voice_problem
from troupe.errors import WeightsError

__all__ = ["PartReport", "absent_parts", "compare_part", "inspect_weights", "outdated_parts", "read_config"]

_OPTIONAL = ((VOICE, voice_problem), (FAST, distilled_problem))
"""Optional parts, and what says why one cannot be used."""


@dataclass(frozen=True)
class PartReport:
    """The result of inspecting one file of a directory.

    Attributes:
        name: name of the network, or of the file itself.
        file: path relative to the directory; the expected one if it is missing.
        tensors, parameters: number of each; 0 for files that are not read as tensors.
        dtype: dtype of most of its tensors.
        bytes: size of the file.
        problems: one line for each tensor that is absent, extra or mis-shaped; empty if the file fits.
        source_sha256: hash of the file that it was converted from, as the file says; a note, which is not verified.
    """

    name: str
    file: str
    tensors: int
    parameters: int
    dtype: str
    bytes: int
    problems: tuple[str, ...]
    source_sha256: str = ""


def inspect_weights(directory: Path) -> list[PartReport]:
    """Inspect every file of a directory.

    Raises:
        WeightsError: the directory does not exist, or its configs cannot be used.
    """
    config = read_config(directory)
    reports = [compare_part(directory, part, config)[0] for part in PARTS]
    reports += [_opaque_file(directory, RECOGNISER_FILE), _opaque_file(directory, *DETECTOR_FILES)]
    return reports + [_optional_file(directory, *each) for each in _OPTIONAL if each[0].file(directory).is_file()]


def absent_parts(directory: Path) -> dict[str, str]:
    """Return which optional parts a directory does not have, and how to get each."""
    return {part.name: part.how_to_get for part, _ in _OPTIONAL if not part.file(directory).is_file()}


def outdated_parts(directory: Path) -> list[str]:
    """Return which optional parts of a directory do not belong to its networks, and what to do, a line each."""
    files = ((part.file(directory), problem_of) for part, problem_of in _OPTIONAL)
    return [f"{file}: {problem}" for file, problem_of in files if file.is_file() and (problem := problem_of(directory))]


def read_config(directory: Path) -> ModelConfig:
    """Read the configuration of a weights directory.

    Raises:
        WeightsError: the directory does not exist, or its configs cannot be used.
    """
    if not directory.is_dir():
        raise WeightsError(f"{directory} is not a directory; `troupe weights pull {directory}` would fill one")
    return ModelConfig.read(directory)


def compare_part(
    directory: Path, part: Part, config: ModelConfig
) -> tuple[PartReport, nn.Module | None, Mapping[str, Tensor]]:
    """Map a part's tensors, build its network without values and compare the two.

    Returns:
        The report, the network, and its tensors by name; None and no tensors if the file cannot be read.
    """
    path = find_part_file(directory, part)
    if path is None:
        wanted = f"{part.stems[0]}.safetensors" if part.name == "vae" else f"{part.stems[0]}.pth"
        return PartReport(part.name, wanted, 0, 0, "", 0, ("missing",)), None, {}
    file, size = str(path.relative_to(directory)), path.stat().st_size
    try:
        state = dict(iter_tensors(path))
        with torch.device("meta"):
            module = part.build(config, state)
    except WeightsError as error:
        lines = error.problems or (error.message,)
        return PartReport(part.name, file, 0, 0, "", size, lines), None, {}
    dtypes = [str(value.dtype).removeprefix("torch.") for value in state.values()]
    report = PartReport(
        part.name,
        file,
        len(state),
        sum(value.numel() for value in state.values()),
        max(set(dtypes), key=dtypes.count) if dtypes else "",
        size,
        tuple(_differences(state, module.state_dict())),
        source_hash(path) or "",
    )
    return report, module, state


def _differences(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    problems = [f"{name}: absent" for name in expected if name not in state]
    problems += [f"{name}: not a tensor of this network" for name in state if name not in expected]
    problems += [
        f"{name}: is {tuple(value.shape)}, must be {tuple(expected[name].shape)}"
        for name, value in state.items()
        if name in expected and value.shape != expected[name].shape
    ]
    return problems


def _optional_file(directory: Path, part: OptionalPart, problem_of: Callable[[Path], str]) -> PartReport:
    path, problem = part.file(directory), problem_of(directory)
    tensors = [] if problem else [value for _, value in iter_tensors(path)]
    parameters = sum(value.numel() for value in tensors)
    dtype = str(tensors[0].dtype).removeprefix("torch.") if tensors else ""
    file = str(path.relative_to(directory))
    problems = (problem,) if problem else ()
    return PartReport(part.name, file, len(tensors), parameters, dtype, path.stat().st_size, problems)


def _opaque_file(directory: Path, *names: str) -> PartReport:
    """Report on a file that is not read as tensors: the first of `names` that exists."""
    for name in names:
        path = directory / name
        if path.is_file():
            empty = ("empty",) if path.stat().st_size == 0 else ()
            return PartReport(path.stem, name, 0, 0, "", path.stat().st_size, empty)
    return PartReport(Path(names[0]).stem, " or ".join(names), 0, 0, "", 0, ("missing",))

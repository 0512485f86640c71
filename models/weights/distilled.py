"""The distilled denoiser of a weights directory: its file, and the denoiser that it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.denoiser import Denoiser
from models.weights.checkpoint import iter_tensors
from models.weights.layout import existing_part_file, find_part
from models.weights.optional_part import OptionalPart, fingerprint
from troupe.errors import WeightsError
from troupe.sampler_settings import PRESETS

__all__ = [
    "denoiser_fingerprint",
    "distilled_file",
    "distilled_problem",
    "is_adapted",
    "load_distilled",
    "require_distilled",
    "save_distilled",
]

FAST = OptionalPart("fast", "distilled denoiser", "troupe fast 1", "the preset fast needs", "another preset")
SAMPLED_VALUES = 4096
ADAPTED = ("to_q", "to_k", "to_v", "to_out.0", "to_k_ip.0", "to_v_ip.0")
UP, DOWN = ".up", ".down"


def distilled_file(directory: Path) -> Path:
    """Return the path of the distilled denoiser, an optional file of a weights directory."""
    return FAST.file(directory)


def is_adapted(name: str) -> bool:
    """Whether the module of the denoiser with this name is a projection of an attention."""
    return name.endswith(tuple(f".{projection}" for projection in ADAPTED))


def denoiser_fingerprint(directory: Path) -> str:
    """Return a hash of the denoiser, whatever the format of its file: of the first values of each of its tensors.

    Any training changes some of these, and all values would take seconds to read.

    Raises:
        WeightsError: its file is missing or unreadable.
    """
    return fingerprint(directory, "unet", SAMPLED_VALUES)


def save_distilled(directory: Path, changes: Mapping[str, Tensor], steps: int) -> None:
    """Write a distilled denoiser into a weights directory, as changes of the denoiser that is there.

    Args:
        changes: what to add to the denoiser's tensors, by name; or, under `name.up` and `name.down`, two matrices whose
            product is added.
        steps: number of sampler steps that it was made for.

    Raises:
        WeightsError: there is no denoiser.
    """
    tensors = {name: value.detach().cpu().half().contiguous() for name, value in changes.items()}
    FAST.write(directory, tensors, {"denoiser": denoiser_fingerprint(directory), "steps": steps})


def require_distilled(directory: Path) -> Path:
    """Return the file of the distilled denoiser.

    Raises:
        WeightsError: the directory has none, or it is damaged, does not fit the denoiser, or was made for other steps.
    """
    return FAST.require(directory, distilled_problem)


def distilled_problem(directory: Path) -> str:
    """Return why the distilled denoiser in a directory cannot be used; empty if it can."""
    try:
        about = FAST.read_about(directory)
    except WeightsError as error:
        return error.message
    if about["denoiser"] != denoiser_fingerprint(directory):
        return f"was made from another denoiser; {FAST.how_to_get} for this one"
    if about["steps"] != (steps := PRESETS["fast"].steps):
        return f"was made for {about['steps']} steps, not {steps}; {FAST.how_to_get}"
    if misfits := _misfits(directory):
        return f"does not fit the denoiser: {misfits}"
    return ""


def load_distilled(directory: Path, denoiser: Denoiser) -> Denoiser:
    """Load the distilled denoiser, in the dtype and on the device of `denoiser`, whose unchanged tensors it shares.

    Raises:
        WeightsError: as `require_distilled`.
    """
    changes = dict(iter_tensors(require_distilled(directory)))
    changed = _changed(changes)
    state = denoiser.state_dict()
    for name, value in iter_tensors(existing_part_file(directory, find_part("unet"))):
        if name in changed:
            added = (
                changes[name].float() if name in changes else changes[name + UP].float() @ changes[name + DOWN].float()
            )
            # In the memory order of the original.
            state[name] = torch.empty_like(state[name]).copy_(value.float() + added)
    with torch.device("meta"):
        distilled = Denoiser(denoiser.config)
    distilled.load_state_dict(state, strict=True, assign=True)
    return distilled.requires_grad_(False).eval()


def _changed(changes: Iterable[str]) -> set[str]:
    """Return the names of the tensors that are changed."""
    return {name.removesuffix(UP).removesuffix(DOWN) for name in changes}


def _misfits(directory: Path) -> str:
    """Return which changes do not fit the tensors of the denoiser; empty if all do."""
    shapes = {name: tuple(value.shape) for name, value in iter_tensors(distilled_file(directory))}
    own = {name: tuple(value.shape) for name, value in iter_tensors(existing_part_file(directory, find_part("unet")))}

    def shape(name: str) -> tuple[int, ...]:
        if name in shapes:
            return shapes[name]
        up, down = shapes.get(name + UP, ()), shapes.get(name + DOWN, ())
        return (up[0], down[1]) if len(up) == len(down) == 2 and up[1] == down[0] else ()

    return ", ".join(sorted(name for name in _changed(shapes) if name not in own or shape(name) != own[name]))

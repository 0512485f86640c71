"""The distilled denoiser of a weights directory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from models.denoiser import Denoiser
from models.miniature.init_weights import init_weights
from models.weights import (
    convert,
    distilled_file,
    inspect_weights,
    load_distilled,
    load_part,
    model_files,
    outdated_parts,
    replace_values,
    require_distilled,
    save_distilled,
)
from tests.small import QUICK
from troupe.errors import WeightsError

ADAPTED = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
CHANGED = "conv_out.bias"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("distilled") / "weights"
    init_weights(directory, 0, QUICK)
    return directory


@pytest.fixture
def directory(weights: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights, tmp_path / "weights"))


def changes() -> dict[str, Tensor]:
    return {CHANGED: torch.ones(4), f"{ADAPTED}.up": torch.ones(64, 2), f"{ADAPTED}.down": torch.eye(2, 64)}


def test_it_is_the_denoiser_with_changes(directory: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no distilled denoiser.*troupe train FILE --part fast"):
        require_distilled(directory)
    before, files = [report.name for report in inspect_weights(directory)], model_files(directory)
    save_distilled(directory, changes(), 4)
    assert model_files(directory) == files, "the model's fingerprint does not depend on it"
    denoiser = cast("Denoiser", load_part(directory, "unet"))
    original, distilled = denoiser.state_dict(), load_distilled(directory, denoiser).state_dict()
    differences = {name: value - original[name] for name, value in distilled.items()}
    assert torch.allclose(differences.pop(CHANGED), torch.ones(4))
    assert torch.allclose(differences.pop(ADAPTED), torch.eye(64)[:2].sum(0).expand(64, 64))
    assert not any(value.any() for value in differences.values())
    assert distilled["conv_out.weight"].data_ptr() == original["conv_out.weight"].data_ptr(), "in memory once"
    list(convert(directory))
    require_distilled(directory)  # another format of the same values is the same denoiser
    reports = inspect_weights(directory)
    assert [report.name for report in reports] == [*before, "fast"]
    assert not any(report.problems for report in reports)
    assert (reports[-1].parameters, reports[-1].dtype) == (4 + 2 * 2 * 64, "float16")


def test_one_of_another_denoiser_is_refused(directory: Path) -> None:
    save_distilled(directory, changes(), 4)
    replace_values(directory, "unet", {CHANGED: torch.full((4,), 0.5)})
    with pytest.raises(WeightsError, match=r"made from another denoiser; train one with `troupe train"):
        require_distilled(directory)
    assert "another denoiser" in inspect_weights(directory)[-1].problems[0]
    (line,) = outdated_parts(directory)
    assert line.startswith(f"{directory}/troupe/fast.safetensors: was made from another denoiser; train one with")


@pytest.mark.parametrize(
    ("names", "steps", "message"),
    [
        ((CHANGED, f"{ADAPTED}.up"), 4, "does not fit the denoiser"),
        ((CHANGED,), 8, "was made for 8 steps, not 4"),
    ],
)
def test_one_that_cannot_be_used_is_refused(directory: Path, names: tuple[str, ...], steps: int, message: str) -> None:
    save_distilled(directory, {name: changes()[name] for name in names}, steps)
    with pytest.raises(WeightsError, match=message):
        load_distilled(directory, cast("Denoiser", load_part(directory, "unet")))


def test_tensors_that_the_denoiser_does_not_have(directory: Path) -> None:
    save_distilled(directory, {"conv_in.scale": torch.ones(4)}, 4)
    with pytest.raises(WeightsError, match=r"does not fit the denoiser: .*conv_in\.scale"):
        load_distilled(directory, cast("Denoiser", load_part(directory, "unet")))


def test_a_damaged_file_is_refused(directory: Path) -> None:
    distilled_file(directory).parent.mkdir()
    distilled_file(directory).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot be read as a distilled denoiser"):
        require_distilled(directory)

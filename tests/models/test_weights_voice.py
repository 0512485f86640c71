"""The voice of a weights directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from models.miniature.init_weights import init_weights
from models.weights import convert, inspect_weights, load_voice, model_files, require_voice, save_voice, voice_file
from tests.models.voice.networks import random_voice
from tests.small import QUICK
from troupe.errors import WeightsError


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("voice") / "weights"
    init_weights(directory, 0, QUICK)
    return directory


def test_a_voice_is_saved_and_loaded(weights: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(weights, tmp_path / "weights"))
    with pytest.raises(WeightsError, match=r"has no voice.*troupe train FILE --part voice"):
        require_voice(directory)
    before, files = [report.name for report in inspect_weights(directory)], model_files(directory)
    voice = random_voice()
    voice.directions.data *= torch.tensor([1.0, -2.0, 3.0, 0.5])
    save_voice(directory, voice)
    assert model_files(directory) == files, "the model's fingerprint does not depend on the voice"
    loaded, spectra = load_voice(directory), torch.rand(1, 40, 80)
    assert torch.allclose(loaded.subspace, voice.subspace, atol=1e-6)
    assert torch.equal(loaded(spectra), voice(spectra))
    list(convert(directory))
    assert load_voice(directory).config == voice.config, "another format of the same values is the same encoder"
    reports = inspect_weights(directory)
    assert [report.name for report in reports] == [*before, "voice"]
    assert not any(report.problems for report in reports)
    assert reports[-1].parameters == sum(value.numel() for value in voice.state_dict().values())


def test_the_voice_of_another_encoder_is_refused(weights: Path, tmp_path: Path) -> None:
    save_voice(weights, random_voice())
    init_weights(tmp_path / "other", 1, QUICK)
    voice_file(tmp_path / "other").parent.mkdir()
    shutil.copy(voice_file(weights), voice_file(tmp_path / "other"))
    with pytest.raises(WeightsError, match=r"another expression encoder; train one with `troupe train"):
        load_voice(tmp_path / "other")
    assert "another expression encoder" in inspect_weights(tmp_path / "other")[-1].problems[0]
    voice_file(weights).write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="cannot be read as a voice"):
        load_voice(weights)

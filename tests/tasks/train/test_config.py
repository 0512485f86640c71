"""Training files: their entries, and all their problems at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from models import miniature
from models.miniature.init_weights import MINIATURE_CONFIG
from models.training import Objective
from tasks.train.config import ClipsConfig, PartConfig, read_train_config
from tasks.train.parts import PARTS, check_options, objective
from troupe.errors import SettingsError

KNOWN = ("vae", "denoiser")


def written(folder: Path, text: str) -> Path:
    path = folder / "training.toml"
    path.write_text(text)
    return path


def test_reads_a_training_file(tmp_path: Path) -> None:
    config = read_train_config(
        written(
            tmp_path,
            'weights = "out"\n[clips]\nsource = "world"\ncount = 3\n'
            "[denoiser]\nsteps = 5\nrate = 1\n[denoiser.options]\nframes = 6\n[vae]\nsteps = 2\n",
        ),
        KNOWN,
    )
    assert (config.weights, config.base, config.folder) == (Path("out"), None, Path("out.training"))
    assert config.clips == ClipsConfig("world", count=3)
    denoiser = PartConfig("denoiser", steps=5, rate=1.0, options={"frames": 6})
    assert config.parts == (denoiser, PartConfig("vae", steps=2))
    assert config.select(("vae",)) == (PartConfig("vae", steps=2),)
    with pytest.raises(SettingsError, match="has no part ears; it has denoiser, vae"):
        config.select(("ears",))


@pytest.mark.parametrize(
    ("file", "parts"),
    [
        ("training.toml", PARTS.keys() - {"adapters", "voice", "fast"}),
        ("training-2.toml", {"denoiser"}),
        ("voice.toml", {"voice"}),
        ("fast.toml", {"fast"}),
    ],
)
def test_the_training_files_of_the_miniature(file: str, parts: set[str], tmp_path: Path) -> None:
    """Every part can be trained with its options."""
    MINIATURE_CONFIG.write(tmp_path)
    config = read_train_config(Path(miniature.__file__).with_name(file), tuple(PARTS))
    assert {part.part for part in config.parts} == parts
    for part in config.parts:
        assert isinstance(objective(part.part, tmp_path, tmp_path, 2, part.options), Objective)


def test_unknown_options_of_all_parts_are_reported_together(tmp_path: Path) -> None:
    wrong = {"ears": 2, "weights": "w"}
    parts = [PartConfig("vae", 1, options=wrong), PartConfig("denoiser", 1, options={"noses": 1, "cast": 3})]
    with pytest.raises(SettingsError) as caught:
        check_options(parts)
    assert "vae.options: unknown ears, weights; use frames, patch, anew" in str(caught.value)
    assert "denoiser.options: unknown noses, cast; use frames" in str(caught.value)
    with pytest.raises(SettingsError, match=r"vae.options: unknown ears"):
        objective("vae", tmp_path, tmp_path, 1, {"ears": 2})


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "base = 3\nears = 1\n[clips]\ncount = 0\n[vae]\nbatch = '8'\nspeed = 1\nema = 1.0"
        "\nclip = nan\nwarmup = -1\nrate = inf\nrates = {encoder = 0}\n"
        "[denoiser]\nsteps = 0\nprecision = 'fp8'\noptimizer = 'sgd'\nbatch = 6\naccumulate = 4\n",
    )
    with pytest.raises(SettingsError) as caught:
        read_train_config(path, KNOWN)
    for expected in (
        "ears: neither a path nor a part (vae, denoiser)",
        "base: not a path",
        "weights: missing",
        "clips.source: missing",
        "clips.count: 0 is less than 1",
        "vae.batch: '8' is not of type int",
        "vae.speed: unknown",
        "vae.steps: missing",
        "vae.ema: 1.0 is not less than 1",
        "vae.clip: nan is not finite",
        "vae.rate: inf is not finite",
        "vae.rates.encoder: 0 is not a number above 0",
        "denoiser.steps: 0 is less than 1",
        "denoiser.precision: invalid value 'fp8'; use one of float32, bf16",
        "denoiser.optimizer: invalid value 'sgd'; use one of adamw, muon",
    ):
        assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("weights = ", "cannot be read as a training file"),
        ('weights = "w"\n', "no part to train; add a table such as"),
        ('weights = "w"\nvae = 3\n', "vae: not a table"),
        ('weights = "w"\n[vae]\nsteps = 1\nbatch = 6\naccumulate = 4\n', "4 does not divide a batch of 6"),
    ],
)
def test_invalid_files_are_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected.replace("[", r"\[")):
        read_train_config(written(tmp_path, text), KNOWN)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read as a training file"):
        read_train_config(tmp_path / "none.toml", KNOWN)


def test_settings_that_prevent_resuming() -> None:
    config = PartConfig("vae", steps=5)
    assert config.differences(PartConfig("vae", steps=9, loaders=3, save_every=7).as_dict()) == []
    assert config.differences(PartConfig("vae", steps=5, rate=0.5).as_dict()) == ["rate: was 0.5, is 0.0001"]

"""The check of a training before anything expensive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.train.check_training import check_training
from tasks.train.config import PartConfig
from troupe.errors import BadJob, SettingsError


def written(folder: Path, text: str) -> Path:
    path = folder / "training.toml"
    path.write_text(f'weights = "{folder}/weights"\n{text}')
    return path


def test_a_valid_training_passes(tmp_path: Path) -> None:
    path = written(tmp_path, "[vae]\nsteps = 1\n[headpose]\nsteps = 1\nbatch = 3\n")
    assert [part.part for part in check_training(path, (), "auto", workers=1).parts] == ["vae", "headpose"]
    check_training(path, ("vae",), "cpu", workers=4)
    with pytest.raises(SettingsError, match="headpose: a batch of 3 cannot be shared by 4 workers"):
        check_training(path, (), "cpu", workers=4)


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    folder = tmp_path / "weights.training" / "vae"
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps(PartConfig("vae", 1, rate=0.5).as_dict()))
    path = written(tmp_path, 'base = "nowhere"\n[vae]\nsteps = 1\n[denoiser]\nsteps = 1\n')
    with pytest.raises(SettingsError) as caught:
        check_training(path, ("vae", "denoiser", "ears"), "gpu", workers=3)
    text = str(caught.value)
    assert text.startswith("the request has 7 problems:\n  ")
    for expected in (
        "no part ears",
        "invalid device 'gpu'; use auto or cpu",
        "base: nowhere is not a directory",
        "denoiser trains on clips; add a table [clips]",
        "vae: a batch of 8 cannot be shared by 3 workers",
        "denoiser: a batch of 8",
        "rate: was 0.5, is 0.0001",
    ):
        assert expected in text
    assert not (tmp_path / "weights").exists()


def test_invalid_settings_are_reported_with_what_is_missing(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f'base = "weightz"\n[clips]\nsource = "{tmp_path}/no.csv"\ncount = 0\n[vae]\nsteps = "x"\nbatch = 3\n'
        "[adapters]\nsteps = 1\nbatch = 3\n[ears]\n[headpose]\nrates = 1\n",
    )
    with pytest.raises(SettingsError) as caught:
        check_training(path, (), "gpu", workers=2)
    text = str(caught.value)
    for expected in (
        "vae.steps: 'x' is not of type int",
        "clips.count: 0 is less than 1",
        "ears: neither a path nor a part",
        "headpose.steps: missing",
        "headpose.rates: 1 is not of type dict",
        "base: weightz is not a directory",
        "no.csv does not exist",
        "invalid device 'gpu'",
        "adapters: a batch of 3 cannot be shared by 2 workers",
    ):
        assert expected in text, text
    assert len(caught.value.problems) == 9, text


def test_the_table_of_clips_is_read(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("clip,start,face,fps\na.mp4,x,,\nb.mp4,,left,\n")
    path = written(tmp_path, f'[clips]\nsource = "{tmp_path}/clips.csv"\n[adapters]\nsteps = 1\n')
    with pytest.raises(BadJob) as caught:
        check_training(path, (), "auto")
    header, first, second = str(caught.value).splitlines()[1:]
    assert "unknown column 'fps'" in header
    assert first.startswith("  row 1")
    assert second.startswith("  row 2")


def test_finished_parts_need_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "weights.training" / "denoiser"
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({"recipe": {"steps": 1}}))
    check_training(written(tmp_path, "[denoiser]\nsteps = 1\n"), (), "auto", workers=3)

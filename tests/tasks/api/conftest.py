"""A model, a portrait and a clip that are quick to work with."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from models.miniature.init_weights import init_weights
from tests.flows.cast import write_clip, write_portrait
from tests.small import QUICK

FRAMES = 10


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "weights"
    init_weights(directory, 0, QUICK)
    return directory


@pytest.fixture(scope="session")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cast") / "ruby.png"
    write_portrait(path, 0)
    return path


@pytest.fixture(scope="session")
def clip(portrait: Path) -> Path:
    path = portrait.with_name("hello.mp4")
    write_clip(path, frames=FRAMES, rate="24000/1001")
    return path


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, empty."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder

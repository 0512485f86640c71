"""A cast, its clips and a model that are quick to work with."""

from __future__ import annotations

import flows.server.prefect_env  # noqa: F401  # isort: skip

from pathlib import Path

import pytest

from models.miniature.init_weights import init_weights
from tests.flows.cast import write_clip, write_portrait
from tests.flows.jobs import RunJobs, jobs_runner
from tests.small import QUICK


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is smaller still than the miniature."""
    directory = tmp_path_factory.mktemp("model") / "weights"
    init_weights(directory, 0, QUICK)
    return directory


@pytest.fixture(scope="session")
def cast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two portraits and two short clips with sound, of different rates."""
    folder = tmp_path_factory.mktemp("cast")
    (folder / "portraits").mkdir()
    (folder / "clips").mkdir()
    write_portrait(folder / "portraits" / "ruby.png", 0)
    write_portrait(folder / "portraits" / "olive.png", 5)
    write_clip(folder / "clips" / "hello.mp4", frames=10, rate="25")
    write_clip(folder / "clips" / "film.mp4", frames=12, rate="24000/1001")
    return folder


@pytest.fixture
def run_jobs(tmp_path: Path, weights: Path, cast: Path) -> RunJobs:
    return jobs_runner(tmp_path / "store", weights, cast)

"""The jobs file of docs/dubbing.md with lips by sound, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from catalogs.requests.jobs_file import read_jobs
from catalogs.store.store import open_store
from flows.local import animate_locally
from models.face_files import detector_file
from models.miniature import SHIPPED_WEIGHTS
from tasks.run.estimate import estimate
from tasks.run.inputs.model import Model
from tasks.run.policy import RunPolicy
from tasks.run.request import Request
from tests.flows.cast import write_clip, write_portrait, write_sound
from tests.flows.jobs import SKETCH, manifest_rows

PAGE = (Path(__file__).parents[2] / "docs" / "dubbing.md").read_text()
LANGUAGES = ["en", "fr", "de", "es", "it", "pt-BR", "pl", "tr", "ja", "ko"]


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """The example with its inputs, a clip of 0.2 s and sounds that are all of different lengths."""
    (example,) = re.findall(r"^```csv\n([^\n]*,lips,.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for name in ("faces", "clips", "dubs"):
        (tmp_path / name).mkdir()
    write_portrait(tmp_path / "faces/ada.png", 0)
    write_clip(tmp_path / "clips/welcome.mp4", frames=5, rate="25")
    for number, language in enumerate(LANGUAGES):
        write_sound(tmp_path / f"dubs/welcome.{language}.wav", 0.2 + 0.04 * number)
    (tmp_path / "dubs.csv").write_text(example)
    return tmp_path / "dubs.csv"


def test_ten_languages_are_ten_pictures(jobs: Path, tmp_path: Path) -> None:
    found = read_jobs(str(jobs))
    assert [(job.job_id, job.lips) for job in found] == [(f"welcome.{tag}", "sound") for tag in LANGUAGES]
    model = Model(SHIPPED_WEIGHTS, detector_file(SHIPPED_WEIGHTS))
    estimated = estimate(found, open_store(str(tmp_path / "store")), model, RunPolicy())
    assert not estimated.problems
    assert (estimated.pictures, estimated.clips) == (10, (1, 1))
    assert estimated.lips == (10, 10)


@pytest.mark.slow
def test_ten_languages_run(jobs: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    summary = animate_locally(Request(str(store), str(SHIPPED_WEIGHTS), jobs=str(jobs), defaults=SKETCH))
    rows = manifest_rows(summary)
    assert [rows[f"welcome.{tag}"]["status"] for tag in LANGUAGES] == ["done"] * 10
    assert [rows[f"welcome.{tag}"]["frames"] for tag in LANGUAGES] == [5 + number for number in range(10)]
    assert summary.pictures == 10
    assert len(list((store / "cache/tracks").glob("*.sha256"))) == 1  # one digest each

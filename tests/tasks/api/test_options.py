"""The arguments of a call, checked before anything is loaded."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import troupe
from catalogs.requests.columns import COLUMNS
from tasks.api.options import OPTIONS
from tasks.weights.shipped import SHIPPED_WEIGHTS
from troupe.errors import BadJob, MissingInput, SettingsError

pytestmark = pytest.mark.filterwarnings("ignore:no weights given")

WRONG = """
import sys
import troupe
assert "tasks" not in sys.modules, "imported with troupe"
try:
    troupe.animate("no.jpg", "no.mp4", "no/out.avi", weights="nowhere", device="gpu", audio="no.wav",
                   subtitles="no.srt", fps="x", preset="scetch", ouptut="crop")
except troupe.SettingsError as error:
    print(error)
assert "torch" not in sys.modules, "a wrong call loads torch"
"""


def test_every_column_is_an_option_or_concerns_more_than_one_video() -> None:
    others = {"portrait", "driving", "job_id", "identity", "consent", "tags", "master", "languages", "replaces"}
    assert set(COLUMNS) - set(OPTIONS) == others
    assert set(OPTIONS) < set(COLUMNS)


def test_all_problems_are_reported_together_before_anything_is_loaded(tmp_path: Path) -> None:
    text = WRONG.replace("troupe.SettingsError", "ValueError")
    ran = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for part in (
        "the request has 10 problems:\n",
        "option 'ouptut' is unknown; did you mean 'output'?",
        "fps is 'x'; use 1 to 240 frames per second, such as 25, 29.97 or 30000/1001",
        "preset is 'scetch'; use exact, draft, fast or sketch; did you mean 'sketch'?",
        "invalid device 'gpu'; use auto, cpu, cuda or cuda:N",
        "nowhere does not exist; get the weights with `troupe weights pull DIR`",
        "no.jpg does not exist",
        "no.mp4 does not exist",
        "no.wav does not exist",
        "no.srt does not exist",
        "no/out.avi does not end in .mp4",
    ):
        assert part in ran.stdout


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("out.mkv", "does not end in .mp4; the video is H.264 in MP4"),
        ("s3://bucket/out.mp4", "is a URL; write the video to a local file"),
        ("nowhere/out.mp4", "nowhere does not exist; create it"),
        ("folder.mp4", "is a folder; name a file in it"),
        ("hello.mp4", "is an input of the same call; name another file"),
        ("link.mp4", "is an input of the same call; name another file"),
    ],
)
def test_outputs_that_cannot_be_written(
    output: str, message: str, portrait: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "hello.mp4").write_bytes(clip.read_bytes())
    (tmp_path / "link.mp4").symlink_to("hello.mp4")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError) as caught:
        troupe.animate(portrait, "hello.mp4", output)
    assert message in str(caught.value)
    assert (tmp_path / "hello.mp4").read_bytes() == clip.read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"fps": "x"}, BadJob, "the request has a problem:\n  call: fps is 'x'; use 1 to 240 frames"),
        ({"identity": "Ada"}, BadJob, "option 'identity' is unknown; use one of face, "),
        ({"output": "both"}, BadJob, "a call makes one video"),
        ({"start": 2, "end": 1.0}, BadJob, "end is 1, which is not after start, 2"),
        ({"subtitles": "a.srt"}, SettingsError, "frames have none; use animate"),
        ({"seed": 1.5}, BadJob, "seed is '1.5'; use an integer"),
        ({"tracks": "no.parquet"}, MissingInput, "no.parquet does not exist"),
        ({"portrait": " "}, BadJob, "call: portrait is empty"),
        ({"portrait": None}, SettingsError, "the portrait is object of shape (); use a path, or (H, W, 3) uint8 RGB"),
        ({"portrait": np.zeros((8, 8), np.uint8)}, SettingsError, "uint8 of shape (8, 8)"),
        ({"portrait": np.zeros((8, 8, 3))}, SettingsError, "float64 of shape (8, 8, 3)"),
        ({"driving": 5}, SettingsError, "the driving clip is a int; use a path or frames"),
    ],
)
def test_wrong_arguments(
    change: dict[str, Any], error: type[Exception], message: str, portrait: Path, clip: Path
) -> None:
    arguments: dict[str, Any] = {"portrait": portrait, "driving": clip} | change
    with pytest.raises(error) as caught:
        troupe.stream(**arguments)
    assert message in str(caught.value)


def test_a_call_without_weights_says_what_the_miniature_is_for(portrait: Path, tmp_path: Path) -> None:
    arguments = portrait, "nowhere.mp4"
    calls: list[Callable[[], object]] = [
        lambda: troupe.animate(*arguments, tmp_path / "a.mp4"),
        lambda: troupe.stream(*arguments),
        troupe.PortraitAnimator,
    ]
    for call in calls:
        with pytest.warns(UserWarning, match="drawn faces only.* full model") as caught, suppress(MissingInput):
            call()
        assert [warning.filename for warning in caught] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        troupe.PortraitAnimator(SHIPPED_WEIGHTS).close()

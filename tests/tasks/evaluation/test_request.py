"""The check of an evaluation before anything expensive."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.evaluation.request import EvaluationRequest, check_evaluation
from troupe.errors import SettingsError


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    request = EvaluationRequest(
        str(tmp_path / "store"),
        str(tmp_path / "weights"),
        str(tmp_path),
        "../e1",
        str(tmp_path / "faces"),
        preset="scetch",
        lpips="nowhere.pt",
        device="gpu",
        dtype="float8",
    )
    with pytest.raises(SettingsError) as caught:
        check_evaluation(request)
    text = str(caught.value)
    assert text.startswith("the request has 8 problems:\n  ")
    for expected in (
        "'../e1'",
        "no clips in",
        "/faces does not exist",
        "no file nowhere.pt for --lpips",
        "unknown preset 'scetch'",
        "invalid device 'gpu'",
        "invalid dtype 'float8'",
        "the weights directory",
    ):
        assert expected in text
    assert not (tmp_path / "store").exists()


def test_clips_and_portraits_are_limited(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MP4", "c.txt", "one.png", "two.jpg"):
        (tmp_path / name).touch()
    request = EvaluationRequest("s", "w", str(tmp_path), "e1", str(tmp_path), limit=1)
    assert [Path(uri).name for uri in (*request.clips, *request.pictures)] == ["a.MP4", "one.png"]

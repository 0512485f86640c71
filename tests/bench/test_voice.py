"""The benchmark of lips by sound, on one short clip."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import voice
from models.miniature import SHIPPED_WEIGHTS
from models.weights import save_voice
from tests.models.voice.networks import random_voice


@pytest.mark.slow
def test_one_pair(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_WEIGHTS, tmp_path / "weights")
    save_voice(tmp_path / "weights", random_voice())
    arguments = ["--pairs", "1", "--frames", "13", "--steps", "1", "--pictures", str(tmp_path / "pictures")]
    findings = voice.measure(voice.parser().parse_args([*arguments, "--weights", str(tmp_path / "weights")]))
    assert set(findings.cases) == {"lips=driving", "lips=sound", "silence", "ceiling"}
    assert {"mouth_of_the_sound", "reach", "mouth_in_silence", "offset_frames"} < set(findings.checks)
    assert len(list((tmp_path / "pictures").iterdir())) == 1

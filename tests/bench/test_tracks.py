"""bench.tracks, on a drawn clip that goes black for a while."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.tracks import COLUMNS, SIDE, measure, parser
from models.miniature import draw_clip
from models.miniature.init_weights import init_weights
from models.weights import detector_file, recogniser_file
from tasks import media
from tests.small import SMALL


def test_a_clip_with_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPE_SHARED", raising=False)
    init_weights(tmp_path / "weights", 0, SMALL)
    frames = [picture for picture, _ in draw_clip(3, 7, 16, 25)]
    frames[5:8] = [np.zeros_like(frames[0])] * 3
    media.encode(frames, tmp_path / "clip.mp4", rate=Fraction(25), size=(192, 192))
    words = [str(tmp_path / "clip.mp4"), "--pictures", str(tmp_path / "looks")]
    words += ["--detector", str(detector_file(tmp_path / "weights"))]
    words += ["--recogniser", str(recogniser_file(tmp_path / "weights"))]
    case = measure(parser().parse_args(words)).cases["clip.mp4"]
    names = ("frames", "found", "gaps", "longest_gap_frames", "cuts", "identity_switches")
    assert [case.figures[name] for name in names] == [16, 13, 1, 3, 0, 0]
    with Image.open(tmp_path / "looks" / "clip.jpg") as sheet:
        assert sheet.size[0] == COLUMNS * SIDE

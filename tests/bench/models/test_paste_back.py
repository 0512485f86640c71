"""bench.models.paste_back writes its picture, and its metrics distinguish the blends."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from bench.models.paste_back import CELL, measure, parser


def test_a_drawn_portrait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPE_SHARED", raising=False)
    found = measure(parser().parse_args(["--frames", "0", "--pictures", str(tmp_path)]))
    assert all(check.ok for check in found.checks.values())
    assert found.cases["drawn-0"].number("tinted_step_reference_levels") > 5
    with Image.open(tmp_path / "drawn-0.png") as sheet:
        assert sheet.size == (5 * CELL, 4 * CELL)

"""The contact sheets and the rate of the miniature's world, at their smallest."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.models.synthetic import main, people, performance, sheet


def test_sheets_and_a_rate(tmp_path: Path) -> None:
    out = tmp_path / "world.json"
    main(["--sheets", str(tmp_path), "--fields", "5", "--side", "64", "--frames", "4", "--json", str(out)])
    for name in ("people", "performance"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert picture.size == (3 * 64, 2 * 64)
    found = json.loads(out.read_text())
    assert found["figures"]["one core"]["frames_a_second"] > 0
    assert found["checks"] == {}, "what is promised is promised for 128"


def test_every_field_is_another_one() -> None:
    for draw in (people, performance):
        pictures = draw(4, 64)
        assert len({picture.tobytes() for picture in pictures}) == 4


def test_fields_go_by_rows() -> None:
    pictures = [np.full((2, 2, 3), value, np.uint8) for value in (10, 20, 30)]
    assert sheet(pictures)[::2, ::2, 0].tolist() == [[10, 20], [30, 255]]


def test_no_folder_no_work(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as error:
        main(["--sheets", str(tmp_path / "none")])
    assert error.value.code == 2

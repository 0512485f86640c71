"""The demo's cast, and the picture of what it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.demo import CELL_SIDE, CLIPS, COLUMNS, PORTRAITS, draw_strip, prepare_demo
from tasks.media import probe


@pytest.fixture(scope="module")
def cast(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return prepare_demo(tmp_path_factory.mktemp("demo"))


def test_portraits_and_clips_with_sound(cast: tuple[Path, Path]) -> None:
    portraits, clips = cast
    assert {path.stem for path in portraits.iterdir()} == set(PORTRAITS)
    assert {path.stem for path in clips.iterdir()} == set(CLIPS)
    for name, (_, _, rate, frames) in CLIPS.items():
        found = probe(clips / f"{name}.mp4")
        assert (found.frames, found.rate, found.audio) == (frames, rate, True)
    before = {path: path.stat().st_mtime_ns for folder in cast for path in folder.iterdir()}
    prepare_demo(portraits.parent)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_clip_above_those_who_act_it(cast: tuple[Path, Path], tmp_path: Path) -> None:
    clip = str(cast[1] / "hello.mp4")
    rows = [
        {"driving": clip, "full_uri": clip},
        {"driving": clip, "full_uri": None},
        {"driving": str(cast[1] / "laugh.mp4"), "full_uri": clip},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "manifest.parquet")
    assert draw_strip(str(tmp_path / "manifest.parquet"), tmp_path / "strip.png")
    strip = np.asarray(Image.open(tmp_path / "strip.png"))
    assert strip.shape == (2 * CELL_SIDE, COLUMNS * CELL_SIDE, 3)
    assert (strip[:CELL_SIDE] == strip[CELL_SIDE:]).all()
    assert (strip[:, :CELL_SIDE] != strip[:, -CELL_SIDE:]).any()


def test_nothing_to_show(cast: tuple[Path, Path], tmp_path: Path) -> None:
    rows = [{"driving": str(cast[1] / "hello.mp4"), "full_uri": None}]
    table = pa.Table.from_pylist(rows, schema=pa.schema([("driving", pa.string()), ("full_uri", pa.string())]))
    pq.write_table(table, tmp_path / "manifest.parquet")
    assert not draw_strip(str(tmp_path / "manifest.parquet"), tmp_path / "strip.png")
    assert not (tmp_path / "strip.png").exists()

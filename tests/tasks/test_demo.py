"""The demo's cast, and the picture of what it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageSequence

from catalogs.requests.jobs_file import read_jobs
from tasks.demo import CAPTION, CELL, CLIPS, DUBBED, DUBS, GAP, PORTRAITS, draw_comparison, prepare_demo, prepare_jobs
from tasks.media import AudioSource, find_audio, probe
from tasks.media.sound import sound_seconds


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


def test_a_jobs_file_with_dubs_as_long_as_their_clip(cast: tuple[Path, Path]) -> None:
    folder = cast[0].parent
    jobs = read_jobs(str(prepare_jobs(folder)))
    assert [(job.job_id, job.lips) for job in jobs] == [
        ("ruby__hello", "driving"),
        ("ruby__laugh", "driving"),
        ("olive__hello", "driving"),
        ("olive__laugh", "driving"),
        ("ruby__hello__art-x-one", "sound"),
        ("ruby__hello__art-x-two", "sound"),
    ]
    assert {path.name for path in (folder / "dubs").iterdir()} == {f"{DUBBED}.{tag}.wav" for tag in DUBS}
    for job in jobs[-2:]:
        assert (audio := find_audio(AudioSource(Path(job.audio)))) is not None
        assert float(sound_seconds(audio)) == pytest.approx(float(CLIPS[DUBBED][3] / CLIPS[DUBBED][2]))
    (folder / "jobs.csv").write_text("portrait,driving\n")
    assert prepare_jobs(folder).read_text() == "portrait,driving\n", "an edited file is kept"


def test_a_clip_beside_those_who_speak_its_dubs(cast: tuple[Path, Path], tmp_path: Path) -> None:
    portrait, other, clip = (str(path) for path in (cast[0] / "ruby.png", *sorted(cast[1].iterdir())))
    row = {"portrait": portrait, "driving": clip, "lips": "sound", "full_uri": clip}
    rows = [row | {"lips": "driving"}, row, row | {"full_uri": None}, row, row | {"driving": other}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "manifest.parquet")
    assert draw_comparison(str(tmp_path / "manifest.parquet"), tmp_path / "lips.webp")
    with Image.open(tmp_path / "lips.webp") as film:
        frames = [np.asarray(frame.convert("RGB")).astype(int) for frame in ImageSequence.Iterator(film)]
    assert len(frames) == CLIPS["laugh"][3]
    columns = [frames[30][GAP : GAP + CELL, GAP + (CELL + GAP) * n :][:, :CELL] for n in range(4)]
    assert [frame.shape for frame in columns] == [(CELL, CELL, 3)] * 4
    assert abs(columns[1] - columns[2]).mean() < 3 > abs(columns[1] - columns[3]).mean()
    assert abs(columns[0] - columns[1]).mean() > 20
    heard = [(frame[GAP + CELL + CAPTION :, GAP + CELL :] < 120).sum() for frame in frames]
    assert heard[0] < heard[30] < heard[-1]


def test_nothing_to_show(cast: tuple[Path, Path], tmp_path: Path) -> None:
    row = {"portrait": "", "driving": str(cast[1] / "hello.mp4")}
    rows = [row | {"lips": "driving", "full_uri": "/full.mp4"}, row | {"lips": "sound", "full_uri": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "manifest.parquet")
    assert not draw_comparison(str(tmp_path / "manifest.parquet"), tmp_path / "lips.webp")
    assert not (tmp_path / "lips.webp").exists()

"""Clips that people really have, through the whole path: gaps, cuts, odd times, walking, masters; real pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.local import animate_locally
from models.faces.gaps import MAX_BRIDGED
from models.synthetic.world import draw_clip, draw_portrait
from tasks import media
from tasks.run.request import Request
from troupe import Picture

Run = Callable[..., dict[str, dict[str, Any]]]
LONG = MAX_BRIDGED + 3


@pytest.fixture
def run(weights: Path, cast: Path, tmp_path: Path) -> Run:
    """Return a function that runs jobs with the portrait `ruby` and returns their rows by job_id."""

    def perform(*jobs: dict[str, Any]) -> dict[str, dict[str, Any]]:
        rows = [
            {"portrait": str(cast / "portraits" / "ruby.png"), "preset": "sketch", "output": "crop", **job}
            for job in jobs
        ]
        (tmp_path / "jobs.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        store = str(tmp_path / "store")
        summary = animate_locally(Request(store=store, weights=str(weights), jobs=str(tmp_path / "jobs.jsonl")))
        return {row["job_id"]: row for row in pq.read_table(summary.manifest).to_pylist()}

    return perform


def performance(count: int) -> list[Picture]:
    return [picture for picture, _ in draw_clip(3, 7, count, Fraction(25))]


def write(path: Path, pictures: Iterator[Picture] | list[Picture], timing: media.Timing | None = None) -> str:
    media.encode(pictures, path, rate=Fraction(25), size=(192, 192), timing=timing)
    return str(path)


def test_image_sequences_have_the_jobs_frame_rate(run: Run, tmp_path: Path) -> None:
    (tmp_path / "take").mkdir()
    for number, picture in enumerate(performance(4), 99):
        Image.fromarray(picture).save(tmp_path / "take" / f"{number}.png")
    (tmp_path / "lacking").mkdir()
    for number in (1, 3):
        (tmp_path / "lacking" / f"{number}.png").touch()
    rows = run(
        {"job_id": "take", "driving": str(tmp_path / "take"), "fps": "12.5"},
        {"job_id": "gap", "driving": str(tmp_path / "lacking")},
    )
    assert (rows["take"]["error"], rows["take"]["frames"]) == (None, 4)
    info = media.probe(Path(rows["take"]["crop_uri"]))
    assert (info.frames, info.rate, info.audio) == (4, Fraction(25, 2), False)
    assert rows["gap"]["error_kind"] == "missing_input"
    assert "the number 2 is missing" in rows["gap"]["error"]


def test_long_gaps_are_handled_as_the_job_says(run: Run, tmp_path: Path) -> None:
    pictures = performance(8 + LONG)
    pictures[4 : 4 + LONG] = [np.zeros_like(pictures[0])] * LONG
    driving = write(tmp_path / "gap.mp4", pictures)
    rows = run(*({"job_id": gaps, "driving": driving, "gaps": gaps} for gaps in ("hold", "cut", "fail")))
    for gaps in ("hold", "cut"):
        assert rows[gaps]["status"] == "done"
        assert rows[gaps]["frames"] == 8 + LONG
        assert rows[gaps]["gaps"] == [{"first": 4, "stop": 4 + LONG}]
        assert rows[gaps]["cuts"] == []
        assert 0.5 < rows[gaps]["detection_score"] <= 1
    assert (rows["fail"]["status"], rows["fail"]["error_kind"]) == ("failed", "no_face")
    assert f"frames 4 to {3 + LONG}" in rows["fail"]["error"]
    assert rows["hold"]["checksum"] != rows["cut"]["checksum"]


def test_cuts_are_recorded_and_short_gaps_bridged(run: Run, tmp_path: Path) -> None:
    pictures = performance(14)
    pictures[3:5] = [np.zeros_like(pictures[0])] * 2
    # Another scene: the same performer before another wall, that is everything but the face turned over.
    other = [np.ascontiguousarray(255 - picture) for picture in pictures[8:]]
    for picture, negative in zip(pictures[8:], other, strict=True):
        negative[48:168, 36:156] = picture[48:168, 36:156]
    driving = write(tmp_path / "cut.mp4", [*pictures[:8], *other])
    rows = run(
        {"job_id": "cut", "driving": driving, "gaps": "cut"}, {"job_id": "fail", "driving": driving, "gaps": "fail"}
    )
    assert (rows["cut"]["cuts"], rows["cut"]["gaps"]) == ([8], [{"first": 3, "stop": 5}])
    assert rows["cut"]["frames"] == 14
    assert "another scene starts at frame 8" in rows["fail"]["error"]


def test_frame_times_are_kept_or_resampled(run: Run, tmp_path: Path) -> None:
    times = np.array([0, 0.04, 0.08, 0.3, 0.34, 0.38, 0.42, 0.7])
    timing = media.Timing(times, Fraction(10), 0.8, even=False)
    driving = write(tmp_path / "recording.mp4", performance(8), timing)
    rows = run({"job_id": "own", "driving": driving}, {"job_id": "even", "driving": driving, "fps": "20"})
    np.testing.assert_allclose(media.timing_of(Path(rows["own"]["crop_uri"])).times, times, atol=1e-4)
    even = rows["even"]
    assert (even["frames"], even["fps_numerator"], even["fps_denominator"]) == (16, 20, 1)


def test_masters_quality_blends_and_moving_crops(run: Run, tmp_path: Path) -> None:
    driving = write(tmp_path / "clip.mp4", performance(6))
    common = {"driving": driving, "output": "full", "watermark": "off"}
    rows = run(
        {"job_id": "lossless", **common, "master": "lossless"},
        {"job_id": "prores", **common, "master": "prores", "blend": "reference"},
        {"job_id": "follow", **common, "crop": "follow", "quality": 40},
    )
    assert {row["status"] for row in rows.values()} == {"done"}
    picture = draw_portrait(0)[0]
    for name, suffix in (("lossless", "mkv"), ("prores", "mov")):
        master = Path(rows[name]["master_uri"])
        assert master.name == f"master.{suffix}"
        info = media.probe(master)
        assert (info.frames, info.width, info.height) == (6, picture.shape[1], picture.shape[0])
    assert rows["follow"]["master_uri"] is None
    assert rows["follow"]["bytes"] < rows["lossless"]["bytes"]
    # Far from the face the lossless master is the portrait, to the level.
    frame = next(media.decode(Path(rows["lossless"]["master_uri"])))
    np.testing.assert_array_equal(frame[:4, :4], picture[:4, :4])


PREVIEW = 1.5
"""Seconds of each clip."""


def test_a_photograph_and_a_painting_act_a_clip_each(shared: Path, weights: Path, tmp_path: Path) -> None:
    """With a real face detector; the miniature makes noise of them, in videos that are right."""
    jobs, folder = tmp_path / "jobs.csv", shared / "media"
    rows = (("source_image.png", "driving_video.mp4"), ("s9.jpg", "d19.mp4"))
    lines = [f"{folder}/{portrait},{folder}/{clip}" for portrait, clip in rows]
    jobs.write_text("\n".join(("portrait,driving", *lines)))
    summary = animate_locally(
        Request(
            store=str(tmp_path / "store"),
            weights=str(weights),
            jobs=str(jobs),
            detector=str(shared / "weights" / "scrfd_500m_bnkps.onnx"),
            defaults={"preset": "sketch"},
            preview=PREVIEW,
        )
    )
    assert summary.counts == {"done": 2}
    for row in pq.read_table(summary.manifest).to_pylist():
        with av.open(row["driving"]) as driver:
            stream = driver.streams.video[0]
            frames, rate = sum(1 for f in driver.decode(video=0) if f.time < PREVIEW), stream.average_rate
            voiced = bool(driver.streams.audio)
        with av.open(row["full_uri"]) as video:
            assert sum(1 for _ in video.decode(video=0)) == frames == row["frames"]
            assert video.streams.video[0].average_rate == rate
            assert bool(video.streams.audio) == voiced
        info = media.probe(Path(row["full_uri"]))
        assert voiced
        assert abs(info.audio_seconds - info.seconds) <= 1 / info.rate
        assert row["gaps"] == []

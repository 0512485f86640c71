"""Real pictures and clips with a real face detector; the miniature makes noise of them, in videos that are right."""

from __future__ import annotations

from pathlib import Path

import av
import pyarrow.parquet as pq

from flows.local import animate_locally
from tasks import media
from tasks.run.request import Request


def test_a_photograph_and_a_painting_act_two_clips(shared: Path, weights: Path, tmp_path: Path) -> None:
    portraits, clips = tmp_path / "portraits", tmp_path / "clips"
    portraits.mkdir()
    clips.mkdir()
    for name in ("source_image.png", "s9.jpg"):
        (portraits / name).symlink_to(shared / "media" / name)
    for name in ("driving_video.mp4", "d19.mp4"):
        (clips / name).symlink_to(shared / "media" / name)
    summary = animate_locally(
        Request(
            store=str(tmp_path / "store"),
            weights=str(weights),
            portraits=str(portraits),
            drivings=str(clips),
            detector=str(shared / "weights" / "scrfd_500m_bnkps.onnx"),
            defaults={"preset": "sketch"},
        )
    )
    assert summary.counts == {"done": 4}
    for row in pq.read_table(summary.manifest).to_pylist():
        with av.open(row["driving"]) as driver:
            stream = driver.streams.video[0]
            frames, rate = sum(1 for _ in driver.decode(video=0)), stream.average_rate
            voiced = bool(driver.streams.audio)
        with av.open(row["full_uri"]) as video:
            assert sum(1 for _ in video.decode(video=0)) == frames == row["frames"]
            assert video.streams.video[0].average_rate == rate
            assert bool(video.streams.audio) == voiced
        info = media.probe(Path(row["full_uri"]))
        assert voiced
        assert abs(info.audio_seconds - info.seconds) <= 1 / info.rate
        assert row["gaps"] == []

"""Whole runs in this process: from a request to videos, rows and a manifest."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import fsspec
import numpy as np
from PIL import Image

from catalogs.query.jobs import list_jobs
from catalogs.requests.tracks import write_track
from catalogs.retention.forget import forget
from catalogs.store.store import open_store
from flows.local import animate_locally
from models.faces import open_detector
from models.faces.tracking import track_face
from tasks import media
from tasks.run.request import Request
from tests.flows.cast import write_clip, write_sound
from tests.flows.jobs import JOB, SKETCH, RunJobs, manifest_rows
from tests.s3 import BUCKET
from troupe import FaceChoice


def test_every_pair_of_portrait_and_clip_is_rendered_once(cast: Path, weights: Path, tmp_path: Path) -> None:
    request = Request(
        store=str(tmp_path / "store"),
        weights=str(weights),
        portraits=str(cast / "portraits"),
        drivings=str(cast / "clips"),
        defaults=SKETCH,
    )
    first = animate_locally(request)
    assert first.counts == {"done": 4}
    assert first.frames == 2 * (10 + 12)
    assert first.evaluations > 0
    # Two appearances, tracks and motions, thumbnails of four of these, and their digests; four pictures and films, each
    # with poster and record.
    assert first.files_put == 6 + 4 + 6 + 12 + 12
    rows = manifest_rows(first)
    expected = {"hello": (10, Fraction(25)), "film": (12, Fraction(24000, 1001))}
    assert sorted(rows) == ["olive__film", "olive__hello", "ruby__film", "ruby__hello"]
    for job_id, row in rows.items():
        frames, rate = expected[job_id.split("__")[1]]
        info = media.probe(Path(row["full_uri"]))
        assert (info.frames, info.rate, info.audio) == (frames, rate, True)
        assert abs(info.audio_seconds - info.seconds) <= 1 / rate
        assert (info.width, info.height) == (256, 320) == (row["width"], row["height"])
        assert (row["frames"], Fraction(row["fps_numerator"], row["fps_denominator"])) == (frames, rate)
        assert Path(row["full_uri"]).stat().st_size == row["bytes"]
        with Image.open(row["poster_uri"]) as poster:
            assert poster.size == (256, 320)
        assert row["seconds_denoise"] > 0
        assert row["weights"]
        assert row["portrait_sha256"]

    # Every step counts for one job.
    for stage, times in (("detect", 4), ("encode", 4), ("denoise", 4)):
        assert 1 <= sum(bool(row[f"seconds_{stage}"]) for row in rows.values()) <= times, stage

    again = animate_locally(request)
    assert again.counts == {"reused": 4}
    assert (again.frames, again.evaluations, again.files_put) == (0, 0, 0)
    assert {row["checksum"] for row in manifest_rows(again).values()} == {row["checksum"] for row in rows.values()}
    assert len(list_jobs(open_store(request.store))) == 8
    assert len(list_jobs(open_store(request.store), status="reused")) == 4


def test_limit_preview_and_parts_of_clips(run_jobs: RunJobs) -> None:
    rows = manifest_rows(
        run_jobs(
            JOB | {"job_id": "a", "start": 0.2}, JOB | {"job_id": "b"}, JOB | {"job_id": "c"}, limit=2, preview=0.16
        )
    )
    assert {job_id: row["frames"] for job_id, row in rows.items()} == {"a": 4, "b": 4}
    assert rows["a"]["start_seconds"] == 0.2
    for row in rows.values():
        info = media.probe(Path(row["full_uri"]))
        assert abs(info.audio_seconds - info.seconds) <= 1 / 25


def test_the_crop_and_both(run_jobs: RunJobs) -> None:
    rows = manifest_rows(
        run_jobs(JOB | {"job_id": "crop", "output": "crop"}, JOB | {"job_id": "both", "output": "both"})
    )
    assert (rows["crop"]["width"], rows["crop"]["full_uri"]) == (64, None)
    assert (rows["both"]["width"], media.probe(Path(rows["both"]["crop_uri"])).width) == (256, 64)
    crops = {media.probe(Path(row["crop_uri"])).frames for row in rows.values()}
    assert crops == {10}


def test_other_sound_and_no_sound(run_jobs: RunJobs, cast: Path) -> None:
    write_sound(cast / "dub.wav", 5.0)
    write_clip(cast / "silent.mp4", frames=5, rate="25", voiced=False)
    rows = manifest_rows(
        run_jobs(
            JOB | {"job_id": "dubbed", "audio": "dub.wav", "fit": "cut", "language": "pt-BR"},
            JOB | {"job_id": "silent", "driving": "silent.mp4"},
        )
    )
    dubbed, silent = (media.probe(Path(rows[name]["full_uri"])) for name in ("dubbed", "silent"))
    assert dubbed.audio
    assert abs(dubbed.audio_seconds - 0.4) <= 1 / 25
    assert not silent.audio


def test_a_ready_made_track_replaces_detection(run_jobs: RunJobs, cast: Path, weights: Path) -> None:
    clip = cast / "clips" / "hello.mp4"
    track = track_face(media.decode(clip), open_detector(weights / "detector.onnx"), FaceChoice(), "hello")
    write_track(track, cast / "hello.parquet")
    short = track_face(media.decode(clip, 0, 0.2), open_detector(weights / "detector.onnx"), FaceChoice(), "hello")
    write_track(short, cast / "short.parquet")
    plain = JOB | {"watermark": "off"}  # which is another one in each picture
    rows = manifest_rows(
        run_jobs(
            plain | {"job_id": "found"},
            plain | {"job_id": "given", "tracks": "hello.parquet"},
            plain | {"job_id": "short", "tracks": "short.parquet"},
        )
    )
    assert rows["given"]["status"] == "done"
    for given, found in zip(*(media.decode(Path(rows[name]["full_uri"])) for name in ("given", "found")), strict=True):
        assert np.array_equal(given, found)
    assert rows["short"]["status"] == "failed"
    assert "5" in rows["short"]["error"]


def test_the_store_may_be_a_bucket(run_jobs: RunJobs, s3: str) -> None:
    store = f"s3://{BUCKET}/flows"
    summary = run_jobs(JOB, JOB | {"portrait": "nowhere.png"}, store=store)
    assert summary.counts == {"done": 1, "failed": 1}
    assert run_jobs(JOB, store=store).counts == {"reused": 1}
    rows = manifest_rows(summary)
    record = json.loads(open_store(store).read(f"renders/{rows['ruby__hello']['render_key']}/render.json"))
    assert record["checksum"] == rows["ruby__hello"]["checksum"]
    with fsspec.open(rows["ruby__hello"]["full_uri"]) as file:
        assert len(file.read()) == record["bytes"]


def test_renders_are_measured_and_flagged_or_failed(run_jobs: RunJobs) -> None:
    """The untrained miniature generates noise: it flickers and shows no face."""
    (row,) = manifest_rows(run_jobs(JOB)).values()
    assert row["quality_flicker"] > 1
    assert row["quality_identity"] is None
    assert (row["flagged"], row["status"]) == (None, "done")
    flagged = run_jobs(JOB, min_identity=0.5)
    assert flagged.counts == {"reused": 1}
    assert manifest_rows(flagged)["ruby__hello"]["flagged"] == "no face was found in the video"
    failed = run_jobs(JOB, max_quality={"flicker": 1.0}, fail_quality=True)
    assert failed.counts == {"failed": 1}
    (row,) = manifest_rows(failed).values()
    assert row["error_kind"] == "quality"
    assert row["error"].startswith("flicker")
    assert row["full_uri"]  # the video is kept
    assert failed.evaluations == 0


def test_a_forgotten_identity_is_rejected(run_jobs: RunJobs, tmp_path: Path, cast: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    jobs = [JOB | {"identity": "Ruby"}, JOB | {"portrait": "portraits/olive.png", "identity": "Olive"}]
    first = run_jobs(*jobs)
    assert forget(store, "Ruby").jobs == 1
    (render,) = {row["render_key"] for row in manifest_rows(first).values() if row["status"] == "done"}
    assert {key.split("/")[1] for key in store.list("renders")} == {render}
    again = run_jobs(*jobs, JOB | {"job_id": "other", "identity": "Somebody"})
    rows = manifest_rows(again)
    assert again.counts == {"reused": 1, "failed": 2}
    assert {row["error_kind"] for row in rows.values() if row["status"] == "failed"} == {"withdrawn"}
    assert again.files_put == 0
    assert len(store.list("cache/appearance")) == 3


def test_every_run_has_a_report(run_jobs: RunJobs) -> None:
    summary = run_jobs(JOB, JOB | {"job_id": "bad", "portrait": "nowhere.png"})
    page = Path(summary.report).read_text()
    (row,) = [row for row in manifest_rows(summary).values() if row["status"] == "done"]
    for link in (
        f"renders/{row['render_key']}/full.mp4",
        f"renders/{row['render_key']}/poster.jpg",
        f"cache/appearance/{row['appearance_key']}.jpg",
        f"cache/motion/{row['motion_key']}.jpg",
    ):
        assert f'"../../../{link}"' in page
        assert (Path(summary.report).parent / "../../.." / link).is_file()
    assert "nowhere.png" in page

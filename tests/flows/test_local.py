"""Whole runs in this process: from a request to videos, rows and a manifest."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from catalogs.query.jobs import list_jobs
from catalogs.requests.tracks import write_track
from catalogs.retention.forget import forget
from catalogs.store.store import open_store
from flows.local import animate_locally
from flows.observe.progress import use_listener
from models.faces import open_detector
from models.faces.tracking import track_face
from tasks import media
from tasks.run.request import Request
from tasks.run.summary import Summary
from tests.flows.cast import write_clip, write_sound
from tests.s3 import BUCKET
from troupe import FaceChoice
from troupe.errors import BadJob, SettingsError, StoreError, WeightsError

Run = Callable[..., Summary]
SKETCH = {"preset": "sketch"}


@pytest.fixture
def run(tmp_path: Path, weights: Path, cast: Path) -> Run:
    """Return a function that animates jobs, given as rows of a jobs file, into a store."""

    def run(*rows: Mapping[str, Any], **more: Any) -> Summary:
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names)
        writer.writeheader()
        writer.writerows(rows)
        path = cast / "jobs.csv"
        path.write_text(text.getvalue())
        request = {"store": str(tmp_path / "store"), "weights": str(weights), "defaults": SKETCH} | more
        return animate_locally(Request(jobs=str(path), **request))

    return run


def manifest(summary: Summary) -> dict[str, dict[str, Any]]:
    """Return the manifest's rows by job_id, read without troupe."""
    with fsspec.open(summary.manifest) as file:
        return {row["job_id"]: row for row in pq.read_table(file).to_pylist()}


JOB = {"portrait": "portraits/ruby.png", "driving": "clips/hello.mp4"}


def test_every_portrait_acts_every_clip_once(cast: Path, weights: Path, tmp_path: Path) -> None:
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
    # Two appearances, tracks and motions, small pictures of four of these; four videos, posters and records.
    assert first.files_put == 6 + 4 + 12
    rows = manifest(first)
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
    assert {row["checksum"] for row in manifest(again).values()} == {row["checksum"] for row in rows.values()}
    assert len(list_jobs(open_store(request.store))) == 8
    assert len(list_jobs(open_store(request.store), status="reused")) == 4


def test_only_changed_jobs_are_rendered(run: Run) -> None:
    first = run(JOB)
    other_seed = run(JOB | {"seed": 1})
    assert other_seed.counts == {"done": 1}
    assert other_seed.files_put == 3  # Appearance, track and motion are reused.
    (a,), (b,) = manifest(first).values(), manifest(other_seed).values()
    assert a["checksum"] != b["checksum"]
    silent = run(JOB | {"audio": "none"})
    (row,) = manifest(silent).values()
    assert not media.probe(Path(row["full_uri"])).audio


def test_identical_jobs_are_rendered_once(run: Run) -> None:
    summary = run(JOB | {"job_id": "a"}, JOB | {"job_id": "b"})
    assert summary.counts == {"done": 1, "reused": 1}
    assert summary.frames == 10
    rows = manifest(summary)
    assert rows["a"]["full_uri"] == rows["b"]["full_uri"]


def test_invalid_inputs_only_fail_their_jobs(run: Run, cast: Path) -> None:
    Image.new("RGB", (300, 300), "grey").save(cast / "nobody.png")
    (cast / "text.mp4").write_text("this is no film")
    (cast / "empty.mp4").touch()
    write_sound(cast / "voice.wav", 0.4)
    rows = manifest(
        run(
            JOB | {"job_id": "good"},
            JOB | {"job_id": "nobody", "portrait": "nobody.png"},
            JOB | {"job_id": "text", "driving": "text.mp4"},
            JOB | {"job_id": "empty", "driving": "empty.mp4"},
            JOB | {"job_id": "missing", "driving": "clips/nowhere.mp4"},
            JOB | {"job_id": "no-picture", "portrait": "text.mp4"},
            JOB | {"job_id": "too-late", "start": 60},
            JOB | {"job_id": "second-face", "face": "index:1"},
            JOB | {"job_id": "mute", "audio": "portraits/ruby.png"},
        )
    )
    assert {job_id: (row["status"], row["error_kind"]) for job_id, row in rows.items()} == {
        "good": ("done", None),
        "nobody": ("failed", "no_face"),
        "text": ("failed", "unreadable_media"),
        "empty": ("failed", "unreadable_media"),
        "missing": ("failed", "missing_input"),
        "no-picture": ("failed", "unreadable_media"),
        "too-late": ("failed", "input"),
        "second-face": ("failed", "no_face"),
        "mute": ("failed", "unreadable_media"),
    }
    assert "nowhere.mp4" in rows["missing"]["error"]
    assert all("\n" not in row["error"] for row in rows.values() if row["error"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"potrait": "a.png", "driving": "b.mp4"}], "column 'potrait' is unknown"),
        ([JOB | {"job_id": "x"}, JOB | {"job_id": "x"}], "'x'"),
        ([JOB | {"job_id": "../x"}], "job_id"),
        ([JOB | {"preset": "best"}], "preset"),
        ([JOB | {"face": "the left one"}], "face"),
        ([JOB | {"start": 3, "end": 2}], "end"),
    ],
)
def test_invalid_rows_are_rejected_before_anything_starts(
    run: Run, tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(BadJob) as caught:
        run(*rows)
    assert said in str(caught.value)
    assert "row" in str(caught.value) or "header" in str(caught.value)
    assert not (tmp_path / "store" / "renders").exists()


def test_a_missing_tensor_is_named(run: Run, weights: Path, tmp_path: Path) -> None:
    import shutil

    import torch

    broken = tmp_path / "broken"
    shutil.copytree(weights, broken)
    path = broken / "hyportrait" / "unet.pth"
    state = torch.load(path, weights_only=True)
    del state["conv_in.bias"]
    torch.save(state, path)
    with pytest.raises(WeightsError) as caught:
        run(JOB, weights=str(broken))
    assert any("conv_in.bias: absent" in line for line in caught.value.problems)


def test_a_read_only_store_is_rejected(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        run(JOB, store=str(tmp_path / "file" / "store"))


def test_an_empty_request_is_rejected(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to do"):
        animate_locally(Request(store=str(tmp_path), weights=str(weights)))


def test_limit_preview_and_parts_of_clips(run: Run) -> None:
    rows = manifest(
        run(JOB | {"job_id": "a", "start": 0.2}, JOB | {"job_id": "b"}, JOB | {"job_id": "c"}, limit=2, preview=0.16)
    )
    assert {job_id: row["frames"] for job_id, row in rows.items()} == {"a": 4, "b": 4}
    assert rows["a"]["start_seconds"] == 0.2
    for row in rows.values():
        info = media.probe(Path(row["full_uri"]))
        assert abs(info.audio_seconds - info.seconds) <= 1 / 25


def test_the_crop_and_both(run: Run) -> None:
    rows = manifest(run(JOB | {"job_id": "crop", "output": "crop"}, JOB | {"job_id": "both", "output": "both"}))
    assert (rows["crop"]["width"], rows["crop"]["full_uri"]) == (64, None)
    assert (rows["both"]["width"], media.probe(Path(rows["both"]["crop_uri"])).width) == (256, 64)
    crops = {media.probe(Path(row["crop_uri"])).frames for row in rows.values()}
    assert crops == {10}


def test_other_sound_and_no_sound(run: Run, cast: Path) -> None:
    write_sound(cast / "dub.wav", 5.0)
    write_clip(cast / "silent.mp4", frames=5, rate="25", voiced=False)
    rows = manifest(
        run(
            JOB | {"job_id": "dubbed", "audio": "dub.wav", "language": "pt-BR"},
            JOB | {"job_id": "silent", "driving": "silent.mp4"},
        )
    )
    dubbed, silent = (media.probe(Path(rows[name]["full_uri"])) for name in ("dubbed", "silent"))
    assert dubbed.audio
    assert abs(dubbed.audio_seconds - 0.4) <= 1 / 25
    assert not silent.audio


def test_a_ready_made_track_replaces_detection(run: Run, cast: Path, weights: Path) -> None:
    clip = cast / "clips" / "hello.mp4"
    track = track_face(media.decode(clip), open_detector(weights / "detector.onnx"), FaceChoice(), "hello")
    write_track(track, cast / "hello.parquet")
    short = track_face(media.decode(clip, 0, 0.2), open_detector(weights / "detector.onnx"), FaceChoice(), "hello")
    write_track(short, cast / "short.parquet")
    rows = manifest(
        run(
            JOB | {"job_id": "found"},
            JOB | {"job_id": "given", "tracks": "hello.parquet"},
            JOB | {"job_id": "short", "tracks": "short.parquet"},
        )
    )
    assert rows["given"]["status"] == "done"
    for given, found in zip(*(media.decode(Path(rows[name]["full_uri"])) for name in ("given", "found")), strict=True):
        assert np.array_equal(given, found)
    assert rows["short"]["status"] == "failed"
    assert "5" in rows["short"]["error"]


def test_a_stopped_run_keeps_finished_jobs_and_resumes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    class StopAfterOne:
        def note(self, text: str) -> None: ...
        def begin(self, jobs: int) -> None: ...
        def finished(self, row: Mapping[str, Any]) -> None:
            stop.set()

    from contextlib import nullcontext

    jobs = [JOB | {"job_id": f"j{seed}", "seed": seed} for seed in range(3)]
    with monkeypatch.context() as patch, use_listener(StopAfterOne()):
        patch.setattr("flows.steps.stoppable", lambda: nullcontext(stop))
        stopped = run(*jobs)
    assert stopped.counts == {"done": 1, "cancelled": 2}
    assert {row["status"] for row in manifest(stopped).values()} == {"done", "cancelled"}
    finished = run(*jobs)
    assert finished.counts == {"reused": 1, "done": 2}


def test_the_store_may_be_a_bucket(run: Run, s3: str) -> None:
    store = f"s3://{BUCKET}/flows"
    summary = run(JOB, JOB | {"portrait": "nowhere.png"}, store=store)
    assert summary.counts == {"done": 1, "failed": 1}
    assert run(JOB, store=store).counts == {"reused": 1}
    rows = manifest(summary)
    record = json.loads(open_store(store).read(f"renders/{rows['ruby__hello']['render_key']}/render.json"))
    assert record["checksum"] == rows["ruby__hello"]["checksum"]
    with fsspec.open(rows["ruby__hello"]["full_uri"]) as file:
        assert len(file.read()) == record["bytes"]


def test_a_render_without_its_record_is_published_again(run: Run, tmp_path: Path) -> None:
    (row,) = manifest(run(JOB)).values()
    (tmp_path / "store" / "renders" / row["render_key"] / "render.json").unlink()
    again = run(JOB)
    assert again.counts == {"done": 1}
    (new,) = manifest(again).values()
    assert new["checksum"] == row["checksum"]
    assert again.files_put == 1  # Existing files are kept.


def test_renders_are_measured_and_flagged_or_failed(run: Run) -> None:
    """The untrained miniature generates noise: it flickers and shows no face."""
    (row,) = manifest(run(JOB)).values()
    assert row["quality_flicker"] > 1
    assert row["quality_identity"] is None
    assert (row["flagged"], row["status"]) == (None, "done")
    flagged = run(JOB, min_identity=0.5)
    assert flagged.counts == {"reused": 1}
    assert manifest(flagged)["ruby__hello"]["flagged"] == "no face was found in the video"
    failed = run(JOB, max_quality={"flicker": 1.0}, fail_quality=True)
    assert failed.counts == {"failed": 1}
    (row,) = manifest(failed).values()
    assert row["error_kind"] == "quality"
    assert row["error"].startswith("flicker")
    assert row["full_uri"]  # the video is kept
    assert failed.evaluations == 0


def test_a_forgotten_identity_is_rejected(run: Run, tmp_path: Path, cast: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    jobs = [JOB | {"identity": "Ruby"}, JOB | {"portrait": "portraits/olive.png", "identity": "Olive"}]
    first = run(*jobs)
    assert forget(store, "Ruby").jobs == 1
    (render,) = {row["render_key"] for row in manifest(first).values() if row["status"] == "done"}
    assert {key.split("/")[1] for key in store.list("renders")} == {render}
    again = run(*jobs, JOB | {"job_id": "other", "identity": "Somebody"})
    rows = manifest(again)
    assert again.counts == {"reused": 1, "failed": 2}
    assert {row["error_kind"] for row in rows.values() if row["status"] == "failed"} == {"withdrawn"}
    assert again.files_put == 0
    assert len(store.list("cache/appearance")) == 2


def test_every_run_has_a_report(run: Run) -> None:
    summary = run(JOB, JOB | {"job_id": "bad", "portrait": "nowhere.png"})
    page = Path(summary.report).read_text()
    (row,) = [row for row in manifest(summary).values() if row["status"] == "done"]
    for link in (
        f"renders/{row['render_key']}/full.mp4",
        f"renders/{row['render_key']}/poster.jpg",
        f"cache/appearance/{row['appearance_key']}.jpg",
        f"cache/motion/{row['motion_key']}.jpg",
    ):
        assert f'"../../../{link}"' in page
        assert (Path(summary.report).parent / "../../.." / link).is_file()
    assert "nowhere.png" in page

"""Results in the store are reused: only what changed, is missing or is damaged is rendered."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from catalogs.retention.check_store import check_store
from catalogs.store.store import open_store
from flows.local import animate_locally
from flows.observe.progress import use_listener
from tasks import media
from tasks.run.request import Request
from tasks.run.summary import Summary
from tests.flows.cast import write_portrait
from tests.flows.jobs import JOB, RunJobs, manifest_rows
from troupe.errors import WeightsError
from troupe.progress import Progress

SEEDS = (0, 1)


def flip(path: Path, place: float = 0.9) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 0xFF
    path.write_bytes(data)


def pictures(video: Path) -> NDArray[np.uint8]:
    """Return the frames of a video; the file itself differs from run to run, because it names the run."""
    return np.stack(list(media.decode(video)))


@pytest.fixture
def run(tmp_path: Path, weights: Path, cast: Path) -> Callable[..., Summary]:
    """Return a function that renders one portrait and clip with a seed, into a store of this test."""

    def run(seed: int = 0, portrait: Path = cast / "portraits" / "ruby.png", **columns: str) -> Summary:
        jobs = tmp_path / "jobs.jsonl"
        job = {"job_id": "job", "portrait": str(portrait), "driving": str(cast / "clips" / "hello.mp4"), "seed": seed}
        jobs.write_text(json.dumps(job | columns))
        store = str(tmp_path / "store")
        return animate_locally(Request(store, str(weights), jobs=str(jobs), defaults={"preset": "sketch"}))

    return run


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory, weights: Path, cast: Path) -> Path:
    """A store with a finished render, to be copied; its video with seed 1 is beside it."""
    folder = tmp_path_factory.mktemp("rendered")
    for seed in SEEDS:
        jobs = folder / "jobs.jsonl"
        files = {"portrait": str(cast / "portraits" / "ruby.png"), "driving": str(cast / "clips" / "hello.mp4")}
        jobs.write_text(json.dumps(files | {"job_id": "job", "seed": seed}))
        store = folder / ("store" if seed == 0 else "other")
        animate_locally(Request(str(store), str(weights), jobs=str(jobs), defaults={"preset": "sketch"}))
    (video,) = folder.glob("other/renders/*/full.mp4")
    shutil.copyfile(video, folder / "seed-1.mp4")
    return folder


@pytest.fixture
def store(tmp_path: Path, rendered: Path) -> Path:
    return Path(shutil.copytree(rendered / "store", tmp_path / "store"))


def test_only_changed_jobs_are_rendered(run_jobs: RunJobs) -> None:
    printed: list[str] = []

    class Notes:
        def note(self, text: str) -> None:
            printed.append(text)

        def started(self, jobs: int) -> None: ...
        def working(self, progress: Progress) -> None: ...
        def finished(self, row: Mapping[str, Any]) -> None: ...

    first = run_jobs(JOB)
    with use_listener(Notes()):
        other_seed = run_jobs(JOB | {"seed": 1})
    assert "preparing 1 portrait" in printed  # which is encoded already
    assert other_seed.counts == {"done": 1}
    assert other_seed.files_put == 3 + 3  # Picture and film, each with poster and record; the rest is reused.
    (a,), (b,) = manifest_rows(first).values(), manifest_rows(other_seed).values()
    assert a["checksum"] != b["checksum"]
    printed.clear()
    with use_listener(Notes()):
        silent = run_jobs(JOB | {"audio": "none"})
    assert not any("portrait" in text for text in printed)
    assert (silent.pictures, silent.films, silent.evaluations) == (0, 1, 0)
    (row,) = manifest_rows(silent).values()
    assert not media.probe(Path(row["full_uri"])).audio


def test_identical_jobs_are_rendered_once(run_jobs: RunJobs) -> None:
    summary = run_jobs(JOB | {"job_id": "a"}, JOB | {"job_id": "b"})
    assert summary.counts == {"done": 1, "reused": 1}
    assert summary.frames == 10
    rows = manifest_rows(summary)
    assert rows["a"]["full_uri"] == rows["b"]["full_uri"]


def test_a_stopped_run_keeps_finished_jobs_and_resumes(run_jobs: RunJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    class StopAfterOne:
        def note(self, text: str) -> None: ...
        def started(self, jobs: int) -> None: ...
        def working(self, progress: Progress) -> None: ...
        def finished(self, row: Mapping[str, Any]) -> None:
            stop.set()

    jobs = [JOB | {"job_id": f"j{seed}", "seed": seed} for seed in range(3)]
    with monkeypatch.context() as patch, use_listener(StopAfterOne()):
        patch.setattr("flows.steps.stoppable", lambda: nullcontext(stop))
        stopped = run_jobs(*jobs)
    assert stopped.counts == {"done": 1, "cancelled": 2}
    assert {row["status"] for row in manifest_rows(stopped).values()} == {"done", "cancelled"}
    finished = run_jobs(*jobs)
    assert finished.counts == {"reused": 1, "done": 2}


def test_a_render_without_its_record_is_published_again(run_jobs: RunJobs, tmp_path: Path) -> None:
    (row,) = manifest_rows(run_jobs(JOB)).values()
    (tmp_path / "store" / "renders" / row["render_key"] / "render.json").unlink()
    again = run_jobs(JOB)
    assert again.counts == {"done": 1}
    (new,) = manifest_rows(again).values()
    assert new["full_uri"] != row["full_uri"]
    assert again.files_put == 2  # The poster is the same; the video names another run, and both are kept.


@pytest.mark.parametrize("record", [b"", b'{"key": "', b"[]", b"{}", b'{"files": {}}', b"\xff\xfe\x00"])
def test_a_damaged_record_is_made_again(
    run: Callable[..., Summary], store: Path, record: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = store.glob("renders/*/render.json")
    before = json.loads(path.read_bytes())
    path.write_bytes(record)
    with caplog.at_level(logging.WARNING):
        summary = run()
    assert summary.counts == {"done": 1}
    assert "render.json is damaged" in caplog.text
    (row,) = manifest_rows(summary).values()
    assert "damaged" in row["notes"]
    record = json.loads(path.read_bytes())
    assert (record["checksum"], record["frames"]) == (row["checksum"], before["frames"])
    assert run().counts == {"reused": 1}


def test_a_record_with_another_value_is_made_again(run: Callable[..., Summary], store: Path) -> None:
    (path,) = store.glob("renders/*/render.json")
    path.write_text(path.read_text().replace('"frames": 10', '"frames": 11'))
    summary = run()
    assert summary.counts == {"done": 1}
    assert manifest_rows(summary)["job"]["frames"] == 10


@pytest.mark.parametrize("kind", ["appearance", "motion", "tracks"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "exchange"])
def test_a_damaged_cache_is_made_again(
    run: Callable[..., Summary], store: Path, rendered: Path, kind: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = (file for file in store.glob(f"cache/{kind}/*") if file.suffix in (".safetensors", ".parquet"))
    whole = path.read_bytes()
    if damage == "flip":
        flip(path, 0.9 if kind != "tracks" else 0.05)
    elif damage == "truncate":
        path.write_bytes(whole[:100])
    else:
        path.write_bytes(next(store.glob("renders/*/poster.jpg")).read_bytes())
    if kind == "tracks":  # only read when the motion is missing or a render is made
        for file in store.glob("cache/motion/*"):
            file.unlink()
    with caplog.at_level(logging.WARNING):
        summary = run(seed=1)
    assert summary.counts == {"done": 1}
    (row,) = manifest_rows(summary).values()
    assert np.array_equal(pictures(Path(row["full_uri"])), pictures(rendered / "seed-1.mp4"))
    assert f"{path.name} is damaged" in caplog.text
    assert f"{path.name} is damaged" in row["notes"]
    assert path.read_bytes() == whole


def remove_digests(store: Path) -> None:
    """Give a store the form that earlier versions wrote, which had no digests."""
    for path in store.glob("cache/*/*.sha256"):
        path.unlink()
    for path in store.glob("cache/*/*.sha256-*"):
        path.rename(path.with_name(path.name.split(".")[0] + path.suffix))
    for path in (*store.glob("renders/*/render.json"), *store.glob("runs/*/run.json")):
        values = json.loads(path.read_bytes())
        path.write_text(json.dumps({name: value for name, value in values.items() if name not in ("files", "digest")}))


def test_a_store_of_an_earlier_version_is_used_and_completed(
    run: Callable[..., Summary], store: Path, rendered: Path, caplog: pytest.LogCaptureFixture
) -> None:
    digests = {path: path.read_bytes() for path in store.glob("cache/*/*.sha256")}
    (record,) = store.glob("renders/*/render.json")
    whole = json.loads(record.read_bytes())
    remove_digests(store)
    assert len(digests) == 3
    with caplog.at_level(logging.WARNING):
        assert run().counts == {"reused": 1}
        other = run(seed=1)
    assert "damaged" not in caplog.text
    assert (other.counts, other.files_put) == ({"done": 1}, 6)  # a picture and a film; the caches are reused
    row = manifest_rows(other)["job"]
    assert row["notes"] == "sync: not measured, no mouth was found in the picture"
    assert np.array_equal(pictures(Path(row["full_uri"])), pictures(rendered / "seed-1.mp4"))
    assert json.loads(record.read_bytes()) == whole
    assert len(check_store(open_store(str(store)), deep=True).unverified) > 0, "what was not read"
    check_store(open_store(str(store)), repair=True)
    report = check_store(open_store(str(store)), deep=True)
    assert (report.unverified, report.problems) == ((), ())
    for path, content in digests.items():
        assert path.read_text().splitlines() == content.decode().splitlines()[: len(path.read_text().splitlines())]
    assert run().counts == {"reused": 1}


def test_films_from_before_watermarks_are_reused_unless_one_is_required(
    run: Callable[..., Summary], tmp_path: Path
) -> None:
    first = run(watermark="off")
    assert manifest_rows(first)["job"]["watermark"] == "off"
    (record,) = tmp_path.glob("store/renders/*/render.json")
    whole = record.read_bytes()
    record.write_text(json.dumps({name: value for name, value in json.loads(whole).items() if name != "watermark"}))
    remove_digests(tmp_path / "store")
    again = run()
    assert (again.counts, again.files_put) == ({"reused": 1}, 0)
    row = manifest_rows(again)["job"]
    assert row["render_key"] == manifest_rows(first)["job"]["render_key"]
    assert row["watermark"] is None
    assert "earlier version" in row["notes"]
    record.write_bytes(whole)
    marked = run()
    assert marked.counts == {"done": 1}, "a film that was made without a watermark on request is another one"
    row = manifest_rows(marked)["job"]
    assert row["watermark"] == "public"
    assert "watermark" not in (row["notes"] or "")
    assert run(watermark="required").counts == run().counts == run(watermark="off").counts == {"reused": 1}
    labelled = manifest_rows(run(label="ai-generated", language="de"))["job"]
    assert labelled["label"] == "ai-generated"
    assert "label: KI-generiert" in labelled["notes"]
    corner = (..., slice(0, 24), slice(-48, None), slice(None))
    assert pictures(Path(labelled["full_uri"]))[corner].max() > pictures(Path(row["full_uri"]))[corner].max()


@pytest.mark.parametrize("damage", ["missing", "shorter"])
def test_a_render_without_its_files_is_made_again(run: Callable[..., Summary], store: Path, damage: str) -> None:
    (path,) = store.glob("renders/*/full.mp4")
    whole, expected = path.read_bytes(), pictures(path)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(whole[:-1])
    summary = run()
    assert summary.counts == {"done": 1}
    assert "full.mp4" in manifest_rows(summary)["job"]["notes"]
    assert np.array_equal(pictures(path), expected)


def test_weights_that_are_exchanged_while_the_run_goes_on(
    run: Callable[..., Summary], weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.run import run as run_module

    plan_jobs, path = run_module.plan_jobs, weights / "hyportrait" / "unet.pth"

    def plan_then_touch(*args: Any, **options: Any) -> Any:
        plan = plan_jobs(*args, **options)
        path.touch()
        return plan

    monkeypatch.setattr(run_module, "plan_jobs", plan_then_touch)
    with pytest.raises(WeightsError, match="changed while"):
        run()
    assert open_store(str(tmp_path / "store")).list("renders") == []


def test_a_portrait_that_is_exchanged_while_the_run_goes_on(
    run: Callable[..., Summary], cast: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.run import run as run_module

    portrait = tmp_path / "portrait.png"
    shutil.copyfile(cast / "portraits" / "ruby.png", portrait)
    plan_jobs = run_module.plan_jobs

    def plan_then_exchange(*args: Any, **options: Any) -> Any:
        plan = plan_jobs(*args, **options)
        write_portrait(portrait, 5)
        return plan

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "plan_jobs", plan_then_exchange)
        failed = run(portrait=portrait)
    assert failed.counts == {"failed": 1}
    assert "changed" in manifest_rows(failed)["job"]["error"]
    assert open_store(str(tmp_path / "store")).list("renders") == []
    assert run(portrait=portrait).counts == {"done": 1}

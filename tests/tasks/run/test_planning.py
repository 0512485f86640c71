"""Plans and shards: every spec once, those of a portrait together, neither too many shards nor too small ones."""

from __future__ import annotations

import os
import resource
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from catalogs.requests.access.content_hashes import ContentHashes, Input
from catalogs.requests.access.input_policy import InputPolicy
from catalogs.requests.jobs_file import cross_product, read_request, write_request
from catalogs.store.keys import make_key
from catalogs.store.renders import encode_record
from catalogs.store.store import open_store
from models.miniature import SHIPPED_WEIGHTS
from models.miniature.init_weights import init_weights
from models.weights import save_distilled
from tasks.run.inputs.model import Model, weights_fingerprint
from tasks.run.inputs.traits import SWAPPED
from tasks.run.planning import STILL, finished_films, plan_jobs, shards
from tasks.run.policy import RunPolicy
from tasks.steps.specs import FilmSpec, MotionSpec, PictureSpec, PortraitSpec, TrackSpec
from tests.catalogs.requests.access.test_guarded_http import serving
from tests.clips import WIDE_RED, make_clip, numbered, wide_gamut_profile, write_bomb
from tests.flows.cast import write_clip
from tests.small import SMALL
from troupe import LARGEST, PRESETS, Job, SamplerSettings
from troupe.errors import Cancelled, UnreadableMedia, WeightsError
from troupe.files import file_sha256

MOTION = MotionSpec("m", TrackSpec("t", Input("c.mp4"), 0.0, None, LARGEST))

PICTURE = b"P6 64 64 255\n" + bytes(64 * 64 * 3)
"""A portrait, as PPM."""


def spec(number: int, identity: int) -> FilmSpec:
    portrait = PortraitSpec(f"p{identity}", Input("p.png"), LARGEST)
    job = Job(f"j{number}", "p.png", "c.mp4")
    picture = PictureSpec(f"p{number}", "run", job, portrait, MOTION, SamplerSettings())
    return FilmSpec(f"r{number}", "run", job, picture)


def test_files_that_claim_what_no_memory_holds_fail_their_jobs_only(tmp_path: Path) -> None:
    init_weights(tmp_path / "weights", 0, SMALL)
    portrait, clip = f"{tmp_path}/p.png", tmp_path / "c.mp4"
    Image.new("RGB", (64, 64)).save(portrait)
    write_clip(clip, frames=5, rate="25")
    bomb = str(write_bomb(clip, tmp_path / "bomb.mp4"))
    jobs = [
        Job("good", portrait, str(clip)),
        Job("clip", portrait, bomb),
        Job("sound", portrait, str(clip), audio=bomb),
    ]
    store, weights = open_store(str(tmp_path / "store")), tmp_path / "weights"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for run in ("first", "again"):
        plan = plan_jobs(run, jobs, store, Model(weights, weights / "detector.onnx", "float32"), RunPolicy())
        good, *others = plan.jobs
        assert good.spec
        assert [planned.error.kind if planned.error else "" for planned in others] == ["too_large", "too_large"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000, "kB"


def test_what_the_miniature_renders_says_so(tmp_path: Path) -> None:
    portrait, clip = f"{tmp_path}/p.png", tmp_path / "c.mp4"
    Image.new("RGB", (64, 64)).save(portrait)
    write_clip(clip, frames=5, rate="25")
    init_weights(tmp_path / "other", 0, SMALL)
    shutil.copytree(SHIPPED_WEIGHTS, tmp_path / "copy")
    store, jobs = open_store(str(tmp_path / "store")), [Job("a", portrait, str(clip))]
    for weights, noted in ((SHIPPED_WEIGHTS, True), (tmp_path / "copy", True), (tmp_path / "other", False)):
        plan = plan_jobs("", jobs, store, Model(weights, weights / "detector.onnx", "float32"), RunPolicy())
        ((planned, _),) = finished_films(store, plan.jobs)
        assert planned.spec is not None
        assert any("drawn faces only" in note for note in planned.notes) == noted


def test_only_fast_pictures_depend_on_the_distilled_denoiser(tmp_path: Path) -> None:
    portrait, clip, weights = f"{tmp_path}/p.png", tmp_path / "c.mp4", tmp_path / "weights"
    Image.new("RGB", (64, 64)).save(portrait)
    write_clip(clip, frames=5, rate="25")
    init_weights(weights, 0, SMALL)
    store, jobs = open_store(str(tmp_path / "store")), [Job(name, portrait, str(clip), preset=name) for name in PRESETS]

    def keys(jobs: list[Job]) -> dict[str, tuple[str, str]]:
        plan = plan_jobs("", jobs, store, Model(weights, weights / "detector.onnx", "float32"), RunPolicy())
        return {each.job.job_id: (each.spec.picture.key, each.spec.key) for each in plan.jobs if each.spec is not None}

    with pytest.raises(WeightsError, match="has no distilled denoiser"):
        keys(jobs)
    found = [keys([job for job in jobs if job.preset != "fast"])]
    for change in (1.0, 2.0):
        save_distilled(weights, {"conv_out.bias": torch.full((4,), change)}, 4)
        found.append(keys(jobs))
    before, one, other = found
    assert {name: found_keys for name, found_keys in one.items() if name != "fast"} == before
    assert {name: found_keys for name, found_keys in other.items() if name != "fast"} == before
    assert not set(one["fast"]) & set(other["fast"])


@given(identities=st.lists(st.integers(0, 60), max_size=300), most=st.integers(1, 20), enough=st.integers(1, 100))
def test_shards(identities: list[int], most: int, enough: int) -> None:
    specs = [spec(number, identity) for number, identity in enumerate(identities)]
    groups = shards(specs, most=most, at_once=4, enough=enough)
    assert sorted(o.key for group in groups for o in group) == sorted(o.key for o in specs)
    assert all(groups)
    for identity in set(identities):
        assert sum(any(o.picture.portrait.key == f"p{identity}" for o in group) for group in groups) == 1
    assert len(groups) <= most
    assert len(groups) <= max(4, len(specs) // enough)
    assert len(groups) >= min(most, len(set(identities)), 4)


def test_jobs_share_specs_and_existing_renders_are_found(tmp_path: Path) -> None:
    init_weights(tmp_path / "weights", 0, SMALL)
    (tmp_path / "p").write_bytes(PICTURE)
    for number, name in enumerate("cd"):
        write_clip(tmp_path / f"{name}.mp4", frames=5 + number, rate="25")
    jobs = [Job(f"{n}{seed}", f"{tmp_path}/p", f"{tmp_path}/{n}.mp4", seed=seed) for n in "cd" for seed in (0, 1)]
    jobs.append(Job("missing", f"{tmp_path}/nobody", f"{tmp_path}/c.mp4"))
    store, weights = open_store(str(tmp_path / "store")), tmp_path / "weights"
    plan = plan_jobs("run", jobs, store, Model(weights, weights / "detector.onnx", "float32"), RunPolicy())
    *specs, missing = (planned.spec for planned in plan.jobs)
    assert missing is None
    assert len({id(spec.picture.portrait) for spec in specs if spec}) == 1
    assert len({id(spec.picture.motion) for spec in specs if spec}) == 2
    assert specs[3]
    folder = specs[3].folder
    facts = {"key": specs[3].key, "outputs": {"full": f"{folder}/full.mp4"}, "poster": f"{folder}/full.mp4"}
    facts |= dict.fromkeys(("run_id", "job_id", "fps", "face", "gaps")) | {"frames": 5}
    puts = [store.put_bytes(b"video", f"{folder}/full.mp4")]
    store.put_bytes(encode_record(facts, puts), f"{folder}/render.json")
    found = [record and record["frames"] for _, record in finished_films(store, plan.jobs)]
    assert found == [None, None, None, 5, None]
    polls = iter([None, None])

    def raise_if_cancelled() -> None:
        if next(polls, "stopped") == "stopped":
            raise Cancelled("enough")

    kinds = [
        planned.error.kind if planned.error else ""
        for planned, _ in finished_films(store, plan.jobs, raise_if_cancelled)
    ]
    assert sorted(kinds) == ["", "", "cancelled", "cancelled", "missing_input"]


def test_clips_that_cannot_be_opened_are_refused_and_others_have_a_length(tmp_path: Path) -> None:
    init_weights(tmp_path / "weights", 0, SMALL)
    (tmp_path / "p").write_bytes(PICTURE)
    (tmp_path / "text.mp4").write_text("no film")
    (tmp_path / "empty.mp4").touch()
    Image.new("RGB", (64, 64)).save(tmp_path / "still.png")
    names = {"text": "text.mp4", "empty": "empty.mp4", "whole": "still.png", "preview": "still.png"}
    jobs = [
        Job(job_id, f"{tmp_path}/p", f"{tmp_path}/{name}", end=2.0 if job_id == "preview" else None)
        for job_id, name in names.items()
    ]
    store, weights = open_store(str(tmp_path / "store")), tmp_path / "weights"
    plan = plan_jobs("", jobs, store, Model(weights, weights / "detector.onnx", "float32"), RunPolicy())
    text, empty, whole, preview = plan.jobs
    assert [type(planned.error) for planned in (text, empty)] == [UnreadableMedia, UnreadableMedia]
    assert "empty.mp4 is empty" in str(empty.error)
    assert whole.spec
    assert preview.spec
    assert (whole.spec.picture.motion.track.frames, preview.spec.picture.motion.track.frames) == (1, 1)


def test_jobs_do_not_reach_what_the_run_may_not_read(tmp_path: Path) -> None:
    """Each column of a row, while planning; the good job beside it is planned."""
    init_weights(tmp_path / "weights", 0, SMALL)
    (tmp_path / "p").write_bytes(PICTURE)
    (tmp_path / "in").mkdir()
    for name in ("p", "c"):
        Image.new("RGB", (64, 64)).save(tmp_path / "in" / name, "gif")
    store, weights, inside = open_store(str(tmp_path / "store")), tmp_path / "weights", f"{tmp_path}/in"
    with serving() as secret:
        for other in (f"http://127.0.0.1:{secret.port}/a.png", f"{tmp_path}/p", f"{inside}/../p", "https://h/a.png"):
            columns = ("portrait", "driving", "tracks", "audio", "subtitles")
            good = Job("good", f"{inside}/p", f"{inside}/c")
            jobs = [replace(good, job_id=column, **{column: other}) for column in columns]
            model = Model(weights, weights / "detector.onnx", "float32")
            plan = plan_jobs("", [*jobs, good], store, model, RunPolicy(InputPolicy((inside,))))
            assert [planned.error.kind if planned.error else "" for planned in plan.jobs] == ["not_allowed"] * 5 + [""]
        assert secret.connections == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights, a store, the inputs `p` and `c`, and a few that cannot be used."""
    folder = tmp_path_factory.mktemp("inputs")
    init_weights(folder / "weights", 0, SMALL)
    (folder / "p").write_bytes(PICTURE)
    Image.new("RGB", (64, 64)).save(folder / "c", "gif")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    return folder


NAMES = st.one_of(
    st.sampled_from(["", "p", "loop", "dangling", "empty", "pipe", "p/x", "/proc/self/mem", "/dev/zero", "%05d", "*"]),
    st.text(max_size=40),
    st.integers(200, 9000).map(lambda count: "n" * count),
    st.integers(100, 3000).map(lambda count: "d/" * count),
    st.binary(max_size=20).map(os.fsdecode),
)
ANY_URI = st.builds(
    "{}{}".format,
    # Those of remote stores need a network.
    st.sampled_from(["", "/", "{}/", "file://", "file:///", "memory://", "zip://", "tar://", "dir://", "generic://"]),
    NAMES,
)


@pytest.mark.long
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(uris=st.lists(st.tuples(ANY_URI, ANY_URI, ANY_URI, ANY_URI), min_size=1, max_size=8))
def test_no_input_keeps_the_job_beside_it_from_being_planned(folder: Path, uris: list[tuple[str, ...]]) -> None:
    good = Job("good", f"{folder}/p", f"{folder}/c")
    placed = [[uri.replace("{}", str(folder)) for uri in row] for row in uris]
    bad = [Job(f"bad{n}", p, d, tracks=t, audio=a) for n, (p, d, t, a) in enumerate(placed)]
    weights = folder / "weights"
    plan = plan_jobs(
        "",
        [*bad, good],
        open_store(f"{folder}/store"),
        Model(weights, weights / "detector.onnx", "float32"),
        RunPolicy(),
    )
    assert [planned.job for planned in plan.jobs] == [*bad, good]
    assert all((planned.spec is None) != (planned.error is None) for planned in plan.jobs)
    assert plan.jobs[-1].spec is not None


def test_a_portrait_that_is_no_picture_and_a_clip_that_is_one(tmp_path: Path) -> None:
    """As when the columns are swapped: planned as they are rendered."""
    init_weights(tmp_path / "weights", 0, SMALL)
    (tmp_path / "text").write_text("no picture")
    write_clip(tmp_path / "c.mp4", frames=5, rate="25")
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    store, model = (
        open_store(f"{tmp_path}/store"),
        Model(tmp_path / "weights", tmp_path / "weights" / "detector.onnx", "float32"),
    )
    jobs = [
        Job(f"{p}{d}", f"{tmp_path}/{p}", f"{tmp_path}/{d}") for p in ("p.png", "c.mp4") for d in ("c.mp4", "p.png")
    ]
    jobs.append(Job("text", f"{tmp_path}/text", f"{tmp_path}/c.mp4"))
    for run_id in ("first", "again"):  # by what is remembered
        good, still, *unreadable = plan_jobs(run_id, jobs, store, model, RunPolicy()).jobs
        assert good.spec is not None
        assert still.spec is not None
        assert (good.spec.picture.frames, still.spec.picture.frames) == (5, 1)
        assert [STILL in planned.notes for planned in (good, still)] == [False, True]
        for planned in unreadable:
            assert isinstance(planned.error, UnreadableMedia)
            assert "is not a picture that can be decoded" in str(planned.error)
            assert str(planned.error).endswith(SWAPPED) == (planned.job.job_id != "text")


def test_a_label_that_is_nearly_a_known_one_is_in_the_row(folder: Path) -> None:
    store, model = open_store(f"{folder}/store"), Model(folder / "weights", folder / "weights" / "detector.onnx")
    jobs = [Job(label, f"{folder}/p", f"{folder}/c", label=label) for label in ("ai-genrated", "AI-Generated")]
    near, known = plan_jobs("", jobs, store, model, RunPolicy()).jobs
    assert "label: 'ai-genrated' is drawn as this text; did you mean ai-generated?" in near.notes
    assert not [note for note in known.notes if note.startswith("label")]


def test_a_file_whose_name_is_not_utf8_is_an_input_like_any_other(folder: Path) -> None:
    for kind, suffix in (("portraits", b".png"), ("clips", b".gif")):
        (folder / kind).mkdir()
        for name, colour in ((b"good", "red"), (b"\xff\xfe 1%", "blue")):
            Image.new("RGB", (64, 64), colour).save(folder / kind / os.fsdecode(name + suffix))
    jobs = cross_product(f"{folder}/portraits", f"{folder}/clips")
    store, weights = open_store(f"{folder}/store"), folder / "weights"
    write_request(store, "run", jobs)
    plan = plan_jobs("run", jobs, store, Model(weights, weights / "detector.onnx", "float32"), RunPolicy())
    assert [planned.error for planned in plan.jobs] == [None] * 4
    assert len({planned.spec.key for planned in plan.jobs if planned.spec}) == 4
    assert read_request(store, "run") == jobs


def test_keys_change_only_for_inputs_that_are_decoded_in_another_way(tmp_path: Path) -> None:
    """Renders of earlier versions are reused for plain pictures, whose keys are fixed here."""
    init_weights(tmp_path / "weights", 0, SMALL)
    Image.new("RGB", (32, 32), WIDE_RED).save(tmp_path / "plain.png")
    Image.new("RGB", (32, 32), WIDE_RED).save(tmp_path / "wide.png", icc_profile=wide_gamut_profile())
    Image.new("RGB", (4200, 32)).save(tmp_path / "large.png")
    clip = make_clip(tmp_path / "clip.mp4", numbered(3), sound=np.zeros(9000))
    store, weights = open_store(str(tmp_path / "store")), tmp_path / "weights"

    def planned(name: str, **columns: Any) -> FilmSpec:
        job = Job("j", f"{tmp_path}/{name}.png", str(clip), **columns)
        (plan,) = plan_jobs("run", [job], store, Model(weights, weights / "detector.onnx", "float32"), RunPolicy()).jobs
        assert plan.spec is not None
        return plan.spec

    plain = planned("plain")
    fingerprint = weights_fingerprint(weights, ContentHashes(store))
    detector = file_sha256(weights / "detector.onnx")
    contents = {name: file_sha256(tmp_path / f"{name}.png") for name in ("plain", "wide")}

    def appearance(name: str, **more: str) -> str:
        parts = {"portrait": contents[name], "face": "largest", "detector": detector, "weights": fingerprint}
        return make_key("appearance", version=1, **parts, **more)

    assert plain.picture.portrait.key == appearance("plain")
    assert planned("wide").picture.portrait.key == appearance("wide", colour="srgb")
    assert planned("plain", size="source").key == planned("plain", size="1080p").key == plain.key
    assert planned("plain", size="20x20").key != plain.key
    large = planned("large")
    assert large.key != planned("large", size="source").key
    assert large.key == planned("large", size="3840x100").key
    assert planned("large", output="crop").key == planned("large", output="crop", size="source").key
    assert planned("plain", audio_track="index:0").picture.motion.key == plain.picture.motion.key
    assert planned("plain", audio_track="index:0").key != plain.key
    assert planned("plain", video_track="index:0").picture.motion.key != plain.picture.motion.key
    text = tmp_path / "text.srt"
    text.write_text("00:00:00,000 --> 00:00:01,000\nA\n")
    titled, drawn = planned("plain", subtitles=str(text)), planned("plain", subtitles=str(text), subtitles_burn=True)
    assert titled.picture.key == plain.picture.key != drawn.picture.key
    assert len({titled.key, drawn.key, plain.key}) == 3
    assert (titled.picture.subtitles, drawn.subtitles) == (None, None)

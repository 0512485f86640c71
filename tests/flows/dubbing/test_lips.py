"""Lips that follow the sound of each language."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from catalogs.store.store import open_store
from models.face_files import detector_file
from models.motion import load_shots
from models.weights import load_voice, save_voice
from tasks import media
from tasks.run.estimate import estimate
from tasks.run.inputs.model import Model
from tasks.run.policy import RunPolicy
from tasks.run.request import Request
from tests.flows.cast import write_clip, write_sound
from tests.flows.jobs import JOB, jobs_runner, manifest_rows, write_jobs
from tests.models.voice.networks import random_voice
from troupe import PortraitAnimator
from troupe.errors import BadJob, WeightsError

SHORT = JOB | {"lips": "sound", "end": 0.2, "output": "crop", "watermark": "off"}
LANGUAGES = [SHORT | {"job_id": tag, "language": tag, "audio": f"{tag}.wav"} for tag in ("en", "fr")]


@pytest.fixture
def voiced(weights: Path, tmp_path: Path) -> Path:
    """The model with a voice."""
    directory = Path(shutil.copytree(weights, tmp_path / "voiced"))
    save_voice(directory, random_voice())
    return directory


@pytest.fixture
def sounds(cast: Path) -> Path:
    """A sound as long as the part of the clip, 0.2 s, and one of 0.28 s."""
    write_sound(cast / "en.wav", 0.2)
    write_sound(cast / "fr.wav", 0.28)
    return cast


def motion_of(store: Path, key: str) -> tuple[Any, ...]:
    return load_shots(store / f"cache/motion/{key}.safetensors")


def test_each_language_is_a_picture_of_its_own(voiced: Path, sounds: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    run_jobs = jobs_runner(store, voiced, sounds)
    rows = (SHORT | {"job_id": "own"}, LANGUAGES[0], LANGUAGES[1] | {"fit": "bounce"})
    summary = run_jobs(*rows)
    found = manifest_rows(summary)
    assert [(row["status"], row["lips"], row["frames"]) for row in map(found.get, ("own", "en", "fr")) if row] == [
        ("done", "sound", 5),
        ("done", "sound", 5),
        ("done", "sound", 7),
    ]
    assert summary.pictures == 3
    assert "motion extended by 0.08 s" in found["fr"]["notes"]
    assert media.probe(Path(found["fr"]["crop_uri"])).frames == 7
    (key,) = {row["motion_key"] for row in found.values()}
    (driven,) = motion_of(store, key)
    others = {path.stem for path in (store / "cache/motion").glob("*.safetensors")} - {key}
    moved = sorted((motion_of(store, key)[0] for key in others), key=len)
    assert [len(motion) for motion in moved] == [5, 5, 7]
    basis = load_voice(voiced).subspace
    shown = [*range(5), 3, 2]
    for motion in moved:
        rows_of = shown[: len(motion)]
        change = motion.expression - driven.expression[rows_of]
        assert change.norm() > 1
        assert torch.allclose(change @ basis @ basis.T, change, atol=1e-2), "all else is the driver's"
        assert torch.equal(motion.rotation, driven.rotation[rows_of])
    request = Request(
        store=str(store), weights=str(voiced), jobs=str(sounds / "jobs.csv"), defaults={"preset": "sketch"}
    )
    estimated = estimate(request.job_list, open_store(str(store)), Model(voiced, detector_file(voiced)), RunPolicy())
    assert (estimated.pictures, estimated.lips) == (0, (3, 0))
    again = manifest_rows(run_jobs(*rows))
    assert {row["status"] for row in again.values()} == {"reused"}


def test_a_plan_counts_lips_and_their_frames(voiced: Path, sounds: Path, tmp_path: Path) -> None:
    write_jobs(sounds / "jobs.csv", (*LANGUAGES[:1], LANGUAGES[1] | {"fit": "hold"}))
    jobs = Request(store="", weights="", jobs=str(sounds / "jobs.csv")).job_list
    estimated = estimate(jobs, open_store(str(tmp_path / "store")), Model(voiced, detector_file(voiced)), RunPolicy())
    assert not estimated.problems
    assert (estimated.pictures, estimated.lips, dict(estimated.frames)) == (2, (2, 2), {"exact": 12})
    assert estimated.clips == (1, 1)


@pytest.mark.long
def test_frames_of_a_stream_are_in_the_time_of_the_sound(voiced: Path, sounds: Path) -> None:
    options: Any = {"preset": "sketch", "lips": "sound", "audio": sounds / "fr.wav", "end": 0.2, "stretch_limit": 0.5}
    with PortraitAnimator(voiced) as animator:
        frames = animator.stream(sounds / JOB["portrait"], sounds / JOB["driving"], **options, fit="stretch")
        assert len(frames) == len(list(frames)) == 7


def test_what_cannot_be_done_is_refused_before_the_run(
    weights: Path, voiced: Path, sounds: Path, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=r"has no voice.*--part voice"):
        jobs_runner(tmp_path / "store", weights, sounds)(LANGUAGES[0])
    run_jobs = jobs_runner(tmp_path / "store", voiced, sounds)
    with pytest.raises(BadJob, match=r"row 1.*: lips follow the sound, but audio is none"):
        run_jobs(LANGUAGES[0] | {"audio": "none"})
    write_clip(sounds / "mute.mp4", frames=5, rate="25", voiced=False)
    (row,) = manifest_rows(run_jobs(JOB | {"job_id": "mute", "driving": "mute.mp4", "lips": "sound"})).values()
    assert row["error"] == "mute.mp4 has no sound for the lips; name a file in audio"

"""Invalid jobs, weights and stores: what is rejected before a run starts, and what fails only its job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from flows.local import animate_locally
from tasks.run.request import Request
from tests.flows.cast import write_sound
from tests.flows.jobs import JOB, RunJobs, manifest_rows
from troupe.errors import BadJob, SettingsError, StoreError, WeightsError


def test_invalid_inputs_only_fail_their_jobs(run_jobs: RunJobs, cast: Path) -> None:
    Image.new("RGB", (300, 300), "grey").save(cast / "nobody.png")
    (cast / "text.mp4").write_text("this is no film")
    (cast / "empty.mp4").touch()
    write_sound(cast / "voice.wav", 0.4)
    rows = manifest_rows(
        run_jobs(
            JOB | {"job_id": "good"},
            JOB | {"job_id": "nobody", "portrait": "nobody.png"},
            JOB | {"job_id": "text", "driving": "text.mp4"},
            JOB | {"job_id": "empty", "driving": "empty.mp4"},
            JOB | {"job_id": "missing", "driving": "clips/nowhere.mp4"},
            JOB | {"job_id": "no-picture", "portrait": "text.mp4"},
            JOB | {"job_id": "too-late", "start": 60},
            JOB | {"job_id": "second-face", "face": "index:1"},
            JOB | {"job_id": "mute", "audio": "portraits/ruby.png"},
            JOB | {"job_id": "long-name", "portrait": "n" * 300 + ".png"},
            JOB | {"job_id": "archive", "driving": "zip://clips.zip"},
            JOB | {"job_id": "memory-of-the-process", "audio": "/proc/self/mem"},
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
        "long-name": ("failed", "missing_input"),
        "archive": ("failed", "missing_input"),
        "memory-of-the-process": ("failed", "missing_input"),
    }
    assert "nowhere.mp4" in rows["missing"]["error"]
    assert all("\n" not in row["error"] for row in rows.values() if row["error"])


@pytest.mark.parametrize(
    ("rows", "expected"),
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
    run_jobs: RunJobs, tmp_path: Path, rows: list[dict[str, Any]], expected: str
) -> None:
    with pytest.raises(BadJob) as caught:
        run_jobs(*rows)
    assert expected in str(caught.value)
    assert "row" in str(caught.value) or "header" in str(caught.value)
    assert not (tmp_path / "store" / "renders").exists()


def test_a_missing_tensor_is_named(run_jobs: RunJobs, weights: Path, tmp_path: Path) -> None:
    import shutil

    import torch

    broken = tmp_path / "broken"
    shutil.copytree(weights, broken)
    path = broken / "hyportrait" / "unet.pth"
    state = torch.load(path, weights_only=True)
    del state["conv_in.bias"]
    torch.save(state, path)
    with pytest.raises(WeightsError) as caught:
        run_jobs(JOB, weights=str(broken))
    assert any("conv_in.bias: absent" in line for line in caught.value.problems)


def test_a_read_only_store_is_rejected(run_jobs: RunJobs, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file"):
        run_jobs(JOB, store=str(tmp_path / "file" / "store"))


def test_an_empty_request_is_rejected(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nothing to do"):
        animate_locally(Request(store=str(tmp_path), weights=str(weights)))

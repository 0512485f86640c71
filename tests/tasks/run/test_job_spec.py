"""Jobs whose tracks cannot be used are refused when a run is planned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from catalogs.store.store import open_store
from models.miniature.init_weights import init_weights
from tasks.run.estimate import estimate
from tasks.run.inputs.model import Model
from tasks.run.planning import plan_jobs
from tasks.run.policy import RunPolicy
from tests.clips import make_clip, numbered, write_wave
from tests.small import SMALL
from troupe import Job


def test_sounds_that_would_fail_after_rendering_are_refused(tmp_path: Path) -> None:
    init_weights(tmp_path / "weights", 0, SMALL)
    Image.new("RGB", (64, 64)).save(tmp_path / "p.png")
    clip = make_clip(tmp_path / "c.mp4", numbered(3), sound=np.zeros(9000))
    silent = make_clip(tmp_path / "silent.mp4", numbered(3))
    write_wave(tmp_path / "crowd.wav", np.zeros((2000, 100)))
    expected = {
        "crowd": ({"audio": f"{tmp_path}/crowd.wav"}, "crowd.wav (pcm_s16le, 100 channels) cannot be encoded"),
        "silent": ({"audio": str(silent)}, "silent.mp4 has no sound"),
        "track": ({"audio_track": "language:fr"}, "c.mp4 has no audio track language:fr; it has index:0"),
        "picture": ({"video_track": "index:1"}, "c.mp4 has no video track index:1; it has index:0"),
        "good": ({"audio_track": "index:0", "video_track": "index:0"}, ""),
        "mute": ({"audio": "none", "audio_track": "index:9"}, ""),
    }
    jobs = [Job(job_id, f"{tmp_path}/p.png", str(clip), **columns) for job_id, (columns, _) in expected.items()]
    store, weights = open_store(str(tmp_path / "store")), tmp_path / "weights"
    model = Model(weights, weights / "detector.onnx", "float32")
    for _ in range(2):  # the second plan remembers what was tried
        plan = plan_jobs("run", jobs, store, model, RunPolicy())
        errors = {planned.job.job_id: str(planned.error or "") for planned in plan.jobs}
        assert {job_id: message in errors[job_id] for job_id, (_, message) in expected.items()} == dict.fromkeys(
            expected, True
        ), errors
        assert [job_id for job_id, error in errors.items() if not error] == ["good", "mute"]
    assert estimate(jobs, store, model, RunPolicy()).problems.keys() == {"crowd", "silent", "track", "picture"}

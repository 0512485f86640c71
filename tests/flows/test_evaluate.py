"""An evaluation from its folders to its tables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.cli import app
from flows.local import evaluate_locally
from tasks.evaluation.pipeline import measure_renders
from tasks.evaluation.request import EvaluationRequest
from tests.tasks.evaluation.test_metrics import networks
from troupe.errors import Cancelled, SettingsError

__all__ = ["networks"]


@pytest.mark.long
def test_an_evaluation(cast: Path, weights: Path, networks: dict[str, Path], tmp_path: Path) -> None:
    """The untrained miniature generates noise: pixel metrics have values, face metrics have none."""
    words = f"evaluate --local --preset sketch --preview 0.1s --limit 1 --run-id e1 --weights {weights}".split()
    words += ["--drivings", str(cast / "clips"), "--portraits", str(cast / "portraits")]
    result = CliRunner().invoke(app, [*words, "--store", str(tmp_path / "store"), "--lpips", str(networks["lpips"])])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "store" / "evaluations" / "e1"
    rows = {row["job_id"]: row for row in pq.read_table(folder / "clips.parquet").to_pylist()}
    assert sorted(rows) == ["cross__olive__film", "self__film"]
    own = rows["self__film"]
    assert (own["kind"], own["frames"], own["error"]) == ("self", 3, None)
    assert 3 < own["psnr"] < 20
    assert 0 < own["ssim"] < 0.5
    assert own["lpips"] > 0.1
    assert own["temporal_lpips"] > 0
    assert own["identity"] is None
    assert own["flicker"] > 1
    stops = iter([False, False, True])
    request = EvaluationRequest(str(tmp_path / "store"), str(weights), str(cast / "clips"), "e1")
    with pytest.raises(Cancelled, match="stopped while measuring"):
        measure_renders(request, lambda _: None, lambda: next(stops))
    text = (folder / "summary.md").read_text()
    assert result.stdout.rstrip("\n") == text.rstrip("\n")
    for expected in (
        f"| PSNR, dB | higher | {own['psnr']:.4g} | 32.98 |",
        "| FID, of frames | lower | missing: no --inception given |",
        "missing: no --video-features given",
        "missing: no face was found",
        "come from another data set",
        "the model's own identity encoder",
        "## Cross-reenactment: 1 clip, 3 frames",
    ):
        assert expected in text


@pytest.mark.usefixtures("prefect_session", "ray_session")
def test_the_flow_with_its_tasks_and_artifacts(cast: Path, weights: Path, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    from flows.evaluate import evaluate

    request = EvaluationRequest(
        str(tmp_path / "store"), str(weights), str(cast / "clips"), "e1", preset="sketch", limit=1, preview=0.1
    )
    found: Any = evaluate(**request.parameters())
    assert Path(found["summary"]).read_text() == found["text"]
    (row,) = pq.read_table(Path(found["summary"]).with_name("clips.parquet")).to_pylist()
    assert (row["job_id"], row["frames"], row["error"]) == ("self__film", 3, None)
    assert 3 < row["psnr"] < 20
    (job,) = pq.read_table(tmp_path / "store" / "runs" / "e1" / "manifest.parquet").to_pylist()
    assert job["status"] == "done"
    assert not job["worker"].endswith(f":{os.getpid()}")
    with get_client(sync_client=True) as client:
        artifacts = [str(a.data) for a in client.read_artifacts() if a.key == "troupe-evaluation"]
        assert artifacts[-1] == found["text"]


def test_invalid_requests_are_rejected(cast: Path, weights: Path, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    for drivings, more, message in (
        (cast / "portraits", {}, "no clips in"),
        (cast / "clips", {"lpips": "nowhere.pt"}, "no file nowhere.pt for --lpips"),
    ):
        with pytest.raises(SettingsError, match=message):
            evaluate_locally(EvaluationRequest(store, str(weights), str(drivings), "e1", **more))

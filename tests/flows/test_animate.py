"""The main flow with a Prefect server and Ray actors: a run with a failing job, and a run that is stopped."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from tasks import media
from troupe.errors import SettingsError


def test_the_flow_and_the_command_have_the_parameters_of_a_request() -> None:
    from flows.animate import animate
    from flows.cli.run import run
    from tasks.run.request import Request

    fields = {f.name: f for f in dataclasses.fields(Request)}
    parameters = inspect.signature(animate.fn).parameters
    assert list(parameters) == list(fields)
    given = {name: f"given {name}" for name in ("store", "weights")}
    defaults = {
        name: parameter.default
        for name, parameter in parameters.items()
        if parameter.default is not inspect.Parameter.empty
    }
    assert Request.from_parameters(given | defaults) == Request(**given)
    options = set(inspect.signature(run).parameters)
    of_jobs = {"preset", "seed", "output", "audio", "languages", "fit", "loudness", "subtitles", "subtitles_burn"}
    of_jobs |= {"label", "watermark", "lips"}
    assert options - of_jobs - {"local"} == fields.keys() - {"defaults", "retry"}


def test_every_bound_of_the_command_is_accepted_by_the_flow() -> None:
    from flows.animate import animate
    from tasks.quality.thresholds import Thresholds

    bounds = {
        "landmarks": 0.1,
        "expression": 0.1,
        "pose": 5.0,
        "flicker": 2.0,
        "sync_offset_frames": 2,
        "sync_lse_d": 8,
    }
    with pytest.raises(SettingsError, match=f"use one of {', '.join(bounds)}$"):
        Thresholds(maximum={"x": 1})
    given = animate.validate_parameters({"store": "s", "weights": "w", "max_quality": bounds})
    assert given["max_quality"] == bounds


@pytest.fixture
def jobs(tmp_path: Path, cast: Path) -> Path:
    """Return a jobs file with two valid jobs, one whose picture is missing, and one that reads elsewhere."""
    path = tmp_path / "jobs.jsonl"
    rows = [
        {"job_id": name, "portrait": f"{cast}/portraits/{name}.png", "driving": f"{cast}/clips/hello.mp4"}
        for name in ("ruby", "olive", "nobody")
    ]
    rows.append(rows[0] | {"job_id": "outside", "portrait": "/etc/hostname"})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.usefixtures("prefect_session", "ray_session")
def test_the_flow_with_its_tasks_and_artifacts(jobs: Path, cast: Path, weights: Path, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client

    from flows.animate import animate

    parameters: dict[str, Any] = {
        "store": str(tmp_path / "store"),
        "weights": str(weights),
        "jobs": str(jobs),
        "defaults": {"preset": "sketch"},
        "allow_input": [str(cast)],
    }
    state = animate(**parameters, return_state=True)
    assert state.is_completed()
    summary: Any = state.result()
    assert summary["counts"] == {"done": 2, "failed": 2}
    rows = {row["job_id"]: row for row in pq.read_table(summary["manifest"]).to_pylist()}
    assert rows["nobody"]["error_kind"] == "missing_input"
    assert rows["outside"]["error_kind"] == "not_allowed"
    for name in ("ruby", "olive"):
        assert media.probe(Path(rows[name]["full_uri"])).frames == 10
        assert rows[name]["worker"]
        assert not rows[name]["worker"].endswith(f":{os.getpid()}")
        assert rows[name]["attempts"] == 1
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs()
        names = sorted(run.name.rsplit("-", 1)[0] for run in runs)
        # One shard per portrait here; never one task per job.
        assert names == ["animate shard", "animate shard", "encode identities", "plan", "publish"]
        artifacts = {artifact.key: artifact for artifact in client.read_artifacts()}
        assert summary["run_id"] in str(artifacts["troupe-run"].data)
        assert artifacts["troupe-progress"].data == 100
        assert f"({Path(summary['report']).as_uri()})" in str(artifacts["troupe-report"].data)
        assert f"({Path(summary['manifest']).as_uri()})" in str(artifacts["troupe-manifest"].data)
        (flow_run,) = (run for run in client.read_flow_runs() if run.name == summary["run_id"])
        assert state.message == "2 done, 2 failed"
        logs = wait_for_logs(client, flow_run.id)
        assert any("ruby: done, 10 frames" in line for line in logs), logs
        assert any("nobody: failed, missing_input: " in line for line in logs), logs
        assert "nobody" in str(artifacts["troupe-failures"].data)

    again: Any = animate(**parameters)
    assert again["counts"] == {"reused": 2, "failed": 2}
    assert (again["evaluations"], again["files_put"]) == (0, 0)


def wait_for_logs(client: Any, flow_run_id: Any) -> list[str]:
    """Return the flow run's log on the server, which the client sends every other second."""
    from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

    wanted = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id]))
    for _ in range(100):
        lines = [log.message for log in client.read_logs(wanted)]
        if sum("/3 " in line for line in lines) == 3:
            break
        time.sleep(0.1)
    return lines


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({"device": "gpu"}, False),
        ({"device": "cuda:1"}, True),
        ({"dtype": "half"}, False),
        ({"limit": -4}, False),
        ({"limit": None}, True),
        ({"preview": 0}, False),
        ({"defaults": {"preset": "scetch"}}, False),
        ({"defaults": {"preset": "sketch", "language": "fr"}}, True),
        ({"defaults": {"seed": 7, "fps": 29.97, "subtitles_burn": True}}, True),
        ({"defaults": {"seed": "7"}}, True),
        ({"defaults": {"seed": -7}}, False),
        ({"defaults": {"tags": {"a": "b"}}}, False),
        ({"max_quality": {"beauty": 1}}, False),
        ({"workers": 0}, False),
    ],
)
def test_the_server_rejects_invalid_parameters(given: dict[str, Any], accepted: bool) -> None:
    """The server validates parameters so, before it accepts a flow run."""
    from prefect.utilities.callables import parameter_schema
    from prefect.utilities.schema_tools import is_valid_schema, validate
    from prefect.utilities.schema_tools.validation import preprocess_schema

    from flows.animate import animate

    schema = parameter_schema(animate).model_dump_for_openapi()
    is_valid_schema(schema)
    given = {"store": "s", "weights": "w"} | given
    errors = validate(given, preprocess_schema(schema, allow_none_with_default=True))
    assert (not errors) == accepted, errors
    if accepted:
        assert animate.validate_parameters(given).items() >= given.items(), "runs of a schedule are validated only here"


@pytest.mark.usefixtures("prefect_session")
def test_an_invalid_request_fails_with_its_message_and_no_traceback(
    jobs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from flows.animate import animate
    from flows.prefect_tasks import call_as_task
    from troupe.errors import StoreError, WeightsError

    state = animate(str(tmp_path / "store"), str(tmp_path / "nowhere"), str(jobs), return_state=True)
    assert state.is_failed()
    assert state.message is not None
    assert state.message.startswith(f"the weights directory {tmp_path}/nowhere does not exist")
    with pytest.raises(WeightsError):
        state.result()

    def fail() -> None:
        raise StoreError("the bucket is gone")

    with pytest.raises(StoreError, match="gone"):
        call_as_task("publish", fail)
    assert "Traceback" not in caplog.text


@pytest.mark.usefixtures("prefect_session")
def test_the_server_does_not_learn_credentials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from prefect.client.orchestration import get_client

    from flows.animate import animate, animate_here
    from tasks.run.request import Request
    from troupe.errors import TroupeError

    granted = {"jobs": "https://localhost:1/my jobs.csv?X-Amz-Signature=c0ffee", "weights": str(tmp_path / "nowhere")}
    request = Request(str(tmp_path / "store"), defaults={"audio": "https://localhost:1/a.wav?sig=c0ffee"}, **granted)
    with pytest.raises(TroupeError):
        animate_here(request)
    with get_client(sync_client=True) as client:
        (parameters,) = (run.parameters for run in client.read_flow_runs() if run.parameters["store"] == request.store)
    assert parameters["jobs"] == "https://localhost:1/my jobs.csv?X-Amz-Signature=***"
    assert parameters["defaults"] == {"audio": "https://localhost:1/a.wav?sig=***"}
    assert "grants access" not in caplog.text
    assert animate(str(tmp_path / "store"), return_state=True, **granted).is_failed()
    assert "the parameter jobs grants access to what it names" in caplog.text


@pytest.mark.long
def test_ctrl_c_ends_a_run_within_seconds_and_leaves_nothing(jobs: Path, weights: Path, tmp_path: Path) -> None:
    config = weights / "troupe.json"
    store = tmp_path / "store"
    command = [Path(sys.executable).with_name("troupe"), "run", jobs, "--weights", weights, "--store", store]
    assert config.exists()
    log = tmp_path / "log"
    with log.open("wb") as out:
        # A separate process group, as a shell creates it: Ctrl-C reaches all of it.
        run = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    children: list[psutil.Process] = []
    try:
        wait_for(lambda: (store / "cache" / "motion").exists(), run, log)
        children = psutil.Process(run.pid).children(recursive=True)
        assert any("ray" in " ".join(child.cmdline()) for child in children)
        os.killpg(run.pid, signal.SIGINT)
        code = run.wait(60)
    finally:
        run.kill()
    text = log.read_text()
    assert code == 130, text
    assert "cancelled" in text
    assert "Traceback" not in text
    (manifest,) = store.glob("runs/*/manifest.parquet")
    assert {row["status"] for row in pq.read_table(manifest).to_pylist()} <= {"done", "cancelled", "failed"}
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def wait_for(condition: Any, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)

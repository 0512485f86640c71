"""JSON logs and Prometheus metrics of a run."""

from __future__ import annotations

import io
import json
import logging
import socket
import urllib.request
from datetime import UTC, datetime
from typing import Any

import pytest

from catalogs.table.schema import make_row
from flows.observe.json_logs import json_logs
from flows.observe.progress import Listeners, configured_listener
from flows.observe.prometheus import metrics
from troupe import Job
from troupe.errors import NoFace, SettingsError
from troupe.log_context import job_context, set_run_id

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def row(job: str, status: str = "done", **more: Any) -> dict[str, Any]:
    return make_row("r7", Job(job, "p.png", "c.mp4"), status, started_at=NOW, finished_at=NOW, **more)


DONE = row("a", frames=10, worker="node:7", stages={"denoise": 2.5, "put": 0.5})
FAILED = row("b", "failed", error=NoFace("nobody there"))


def test_every_line_of_a_json_log_has_run_job_and_worker() -> None:
    stream = io.StringIO()
    set_run_id("r7")
    with json_logs(stream) as listener:
        listener.note("reading")
        listener.begin(2)
        listener.finished(DONE)
        listener.finished(FAILED)
        with job_context("render:ab"):
            logging.getLogger("tasks.pool").warning("worker %d died", 3)
        try:
            raise KeyError("x")
        except KeyError:
            logging.getLogger("catalogs.store.store").exception("defect")
    logging.getLogger("tasks").warning("after the run")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert all(line["run"] == "r7" and "job" in line and "worker" in line and line["time"] for line in lines)
    note, started, done, failed, died, defect = lines
    assert (note["message"], started["jobs"]) == ("reading", 2)
    assert (done["job"], done["worker"], done["progress"], done["frames"]) == ("a", "node:7", "1/2", 10)
    assert done["stages"] == {"denoise": 2.5, "put": 0.5}
    assert (failed["level"], failed["error_kind"], failed["error"]) == ("error", "no_face", "nobody there")
    assert (died["job"], died["message"], died["level"]) == ("render:ab", "worker 3 died", "warning")
    assert "KeyError" in defect["trace"]


def test_prometheus_reads_the_metrics_of_a_run() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with metrics(str(port)) as counter:
        listener = Listeners(Listeners(), counter)
        listener.begin(3)
        for each in (DONE, FAILED, row("c", "reused", frames=10)):
            listener.finished(each)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        with pytest.raises(SettingsError, match="failed to serve metrics"), metrics(str(port)):
            pass
    for line in (
        "troupe_jobs_requested 3.0",
        'troupe_jobs_total{status="done"} 1.0',
        'troupe_jobs_total{status="reused"} 1.0',
        'troupe_failures_total{kind="no_face"} 1.0',
        "troupe_frames_total 10.0",
        'troupe_stage_seconds_total{stage="denoise"} 2.5',
    ):
        assert line in text.splitlines()


def test_the_environment_configures_listeners(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TROUPE_LOG", "json")
    with configured_listener() as listener:
        listener.note("hello")
    assert json.loads(capsys.readouterr().err)["message"] == "hello"
    monkeypatch.setenv("TROUPE_LOG", "xml")
    with pytest.raises(SettingsError, match="text or json"), configured_listener():
        pass
    monkeypatch.setenv("TROUPE_LOG", "text")
    monkeypatch.setenv("TROUPE_METRICS", "here")
    with pytest.raises(SettingsError, match="PORT or HOST:PORT"), configured_listener():
        pass

"""Prometheus metrics of a run."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from flows.observe.progress import Listeners
from flows.observe.prometheus import metrics
from tests.flows.observe.rows import DONE, FAILED, row
from troupe.errors import SettingsError


def test_prometheus_reads_the_metrics_of_a_run() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with metrics(str(port)) as counter:
        listener = Listeners(Listeners(), counter)
        listener.started(3)
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

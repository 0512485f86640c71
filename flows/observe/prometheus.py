"""Metrics of a run for Prometheus, served by this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from troupe.errors import SettingsError
from troupe.progress import Progress

__all__ = ["Metrics", "metrics"]


class Metrics:
    """Listener that counts jobs, failures, frames and time.

    troupe_jobs_requested · troupe_jobs_total{status} · troupe_failures_total{kind} · troupe_frames_total ·
    troupe_stage_seconds_total{stage}: worker seconds, whose rate is the number of workers busy with a stage.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requested = Gauge("troupe_jobs_requested", "Jobs of the run.", registry=registry)
        self._jobs = Counter("troupe_jobs", "Jobs that ended.", ["status"], registry=registry)
        self._failures = Counter("troupe_failures", "Jobs that failed.", ["kind"], registry=registry)
        self._frames = Counter("troupe_frames", "Frames rendered.", registry=registry)
        self._stages = Counter("troupe_stage_seconds", "Worker seconds.", ["stage"], registry=registry)

    def note(self, text: str) -> None:
        """Ignore the text."""

    def started(self, jobs: int) -> None:
        """Set the number of jobs."""
        self._requested.set(jobs)

    def working(self, progress: Progress) -> None:
        """Ignore the progress within a job."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """Count the job."""
        self._jobs.labels(row["status"]).inc()
        if row["status"] == "failed":
            self._failures.labels(row["error_kind"]).inc()
        if row["status"] == "done" and (row["seconds_denoise"] or not row["picture_key"]):
            self._frames.inc(row["frames"] or 0)
        for name, seconds in row.items():
            if name.startswith("seconds_") and seconds:
                self._stages.labels(name.removeprefix("seconds_")).inc(seconds)


@contextmanager
def metrics(address: str) -> Iterator[Metrics]:
    """Serve the metrics of a run at `http://HOST:PORT/metrics` inside the `with` block.

    Args:
        address: `HOST:PORT`, or `PORT` on loopback.

    Raises:
        SettingsError: the address is invalid or in use.
    """
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    try:
        server, thread = start_http_server(int(port), host or "127.0.0.1", registry)
    except (ValueError, OverflowError, OSError) as error:
        raise SettingsError(
            f"failed to serve metrics at {address}: {error}; set TROUPE_METRICS to a free PORT or HOST:PORT"
        ) from error
    try:
        yield Metrics(registry)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

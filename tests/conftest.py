"""Fixtures for every room: one Ray, one Prefect server and one S3 endpoint per process of the tests."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.s3 import s3, s3_endpoint
from troupe.process.scratch import scratch_folder

__all__ = ["s3", "s3_endpoint"]

# The processes of `make test` share the processors.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _PROCESSES > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _PROCESSES)))

# Before anything imports prefect: a separate home, and no telemetry or banners.
_SCRATCH = ExitStack()
atexit.register(_SCRATCH.close)
os.environ["PREFECT_HOME"] = str(_SCRATCH.enter_context(scratch_folder()))
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
os.environ.pop("PREFECT_API_URL", None)

# Ray reads its environment when it is imported, which a test may do long before one starts it.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", "tests")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^A worker died or was killed while executing")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real media and real face networks, for tests only."""
    folder = os.environ.get("TROUPE_SHARED")
    if not folder:
        pytest.skip("TROUPE_SHARED is not set: no real pictures, clips and face networks")
    path = Path(folder).resolve()
    assert (path / "media").is_dir(), f"TROUPE_SHARED is {path}, which holds no media"
    assert (path / "weights").is_dir(), f"TROUPE_SHARED is {path}, which holds no weights"
    return path


@pytest.fixture(scope="session")
def prefect_session() -> Iterator[None]:
    """A real Prefect server, as `troupe run` starts one, that flows of this process report to."""
    from flows.server.prefect_server import prefect_server

    with prefect_server():
        yield


@pytest.fixture(scope="session")
def ray_session() -> Iterator[str]:
    """A Ray of two processors on this machine, which pools use as they find it; its address."""
    import ray

    context: Any = ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        namespace="tests",
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=100 * 2**20,
        _node_ip_address="127.0.0.1",
        _system_config={"prestart_worker_first_driver": False, "process_group_cleanup_enabled": True},
    )
    yield context.address_info["address"]
    ray.shutdown()

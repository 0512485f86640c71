"""One Ray for all tests of a session."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def ray_session() -> Iterator[str]:
    """A Ray of two processors on this machine, which pools use as they find it; its address."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^A worker died or was killed while executing")
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

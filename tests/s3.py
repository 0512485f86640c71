"""A real S3 endpoint on loopback, for tests, fault tests and benchmarks."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
import pytest
from moto.server import ThreadedMotoServer

__all__ = ["BUCKET", "Endpoint", "endpoint", "s3", "s3_endpoint"]

BUCKET = "cast"


@dataclass(frozen=True)
class Endpoint:
    """A server with an empty bucket.

    Attributes:
        url: URL of the endpoint.
        requests: number of requests so far, by method.
    """

    url: str
    requests: Counter[str] = field(default_factory=Counter)


@contextmanager
def endpoint() -> Iterator[Endpoint]:
    """Run an S3 server with the empty bucket `BUCKET`, and set the environment variables that clients need."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    started = Endpoint(f"http://{host}:{port}")
    with pytest.MonkeyPatch.context() as patch, _counted(started.requests):
        patch.setenv("AWS_ACCESS_KEY_ID", "tester")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", started.url)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield started
    server.stop()


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[Endpoint]:
    """An S3 server with an empty bucket; the environment is set for clients."""
    with endpoint() as started:
        yield started


@pytest.fixture(scope="session")
def s3(s3_endpoint: Endpoint) -> str:
    """Its URL."""
    return s3_endpoint.url


@contextmanager
def _counted(requests: Counter[str]) -> Iterator[None]:
    """Count the requests in werkzeug's log, and keep them out of the output."""
    log = logging.getLogger("werkzeug")
    before = log.handlers, log.propagate, log.level
    log.handlers, log.propagate = [_Counting(requests)], False
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.handlers, log.propagate, _ = before
        log.setLevel(before[2])


class _Counting(logging.Handler):
    """Counts messages such as `... "GET /cast/key HTTP/1.1" 200 -`, which may be coloured."""

    def __init__(self, requests: Counter[str]) -> None:
        super().__init__()
        self._requests = requests

    def emit(self, record: logging.LogRecord) -> None:
        request = re.search(r'"(?:\x1b\[\d+m)*([A-Z]+) ', record.getMessage())
        if request is not None:
            self._requests[request[1]] += 1

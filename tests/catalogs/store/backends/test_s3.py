"""Stores on S3: options, credentials, parts, and servers that are busy or lose responses."""

from __future__ import annotations

import http.client
import os
import pickle
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest

from catalogs.store.store import Put, Store, open_store
from tests.catalogs.conftest import sha256
from tests.s3 import BUCKET
from troupe.errors import StoreError


def test_a_file_of_several_parts(s3: str, tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}/large")
    data = os.urandom(1 << 20) * 105  # s3fs sends more than 100 MiB in parts
    local = tmp_path / "large.bin"
    local.write_bytes(data)
    assert store.put(local, "large.bin") == Put("large.bin", len(data), sha256(data), created=True)
    assert not store.put(local, "large.bin").created
    boto3.client("s3").delete_object(Bucket=BUCKET, Key="large/large.bin")


def test_options_are_used_and_not_shown(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    options = {"key": "tester", "secret": "Sesame-123", "endpoint_url": s3}
    store = open_store(f"s3://{BUCKET}/options", options)
    store.check()
    assert "Sesame" not in repr(store)
    assert pickle.loads(pickle.dumps(store)).list() == []
    place = store.delta()
    assert place is not None
    uri, delta = place
    assert uri == f"s3://{BUCKET}/options/catalog"
    assert delta["AWS_SECRET_ACCESS_KEY"] == "Sesame-123"
    assert (delta["AWS_ENDPOINT_URL"], delta["AWS_ALLOW_HTTP"], delta["AWS_REGION"]) == (s3, "true", "us-east-1")


def test_content_type(s3: str) -> None:
    store = open_store(f"s3://{BUCKET}/types")
    store.put_bytes(b"<p>", "report/index.html")
    answer = boto3.client("s3").head_object(Bucket=BUCKET, Key="types/report/index.html")
    assert answer["ContentType"] == "text/html"


def test_missing_bucket(s3: str) -> None:
    with pytest.raises(StoreError, match=r"s3://nobody-has-this/x.*bucket does not exist; check that the bucket"):
        open_store("s3://nobody-has-this/x").check()


def test_bad_credentials(s3: str) -> None:
    reset = urlsplit(s3)

    def unchecked_calls(count: str) -> None:
        link = http.client.HTTPConnection(reset.netloc)
        link.request("POST", "/moto-api/reset-auth", body=count)
        assert link.getresponse().status == 200

    unchecked_calls("0")
    try:
        with pytest.raises(StoreError, match=r"check the credentials") as caught:
            open_store(f"s3://{BUCKET}/x", {"key": "NOBODY", "secret": "Sesame-123"}).check()
    finally:
        unchecked_calls("1000000000")
    assert "Sesame" not in str(caught.value)


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    # A new session, because the client of another test would still have the credentials.
    with pytest.raises(StoreError, match="set AWS_ACCESS_KEY_ID"):
        open_store(f"s3://{BUCKET}/none", {"skip_instance_cache": True}).check()


class Faults(ThreadingHTTPServer):
    """A proxy before an S3 server. `plan` lists the faults of the next requests: `busy`, `lost` or none.

    busy: answered with 503. lost: forwarded, but the response is dropped.
    """

    def __init__(self, endpoint: str, plan: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), Passage)
        self.behind, self.plan = urlsplit(endpoint).netloc, plan


class Passage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Faults

    def do(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        fault = self.server.plan.pop(0) if self.server.plan else ""
        self.close_connection = True
        if fault == "busy":
            self.send_response(503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        link = http.client.HTTPConnection(self.server.behind, timeout=20)
        link.request(self.command, self.path, body=body, headers=dict(self.headers))
        answer = link.getresponse()
        data = answer.read()
        if fault == "lost":
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "date", "server"):
                self.send_header(name, value)
        if answer.getheader("Content-Length") is None:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = do

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def faults(endpoint: str, plan: list[str]) -> Iterator[Store]:
    server = Faults(endpoint, plan)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield open_store(f"s3://{BUCKET}/faults", {"endpoint_url": f"http://127.0.0.1:{server.server_port}"})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_request_to_a_busy_server_is_retried(s3: str) -> None:
    with faults(s3, ["busy"] * 4) as store:
        assert store.put_bytes(b"patience", "busy").created
        assert store.read("busy") == b"patience"


def test_a_lost_response_does_not_hide_who_created_the_file(s3: str) -> None:
    """The put succeeded, its response was lost, and the second attempt finds the file: ours."""
    with faults(s3, ["lost"]) as store:
        assert store.put_bytes(b"mine", "lost").created
        assert not store.put_bytes(b"mine", "lost").created


def test_a_server_that_stays_busy(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalogs.store.retry.time.sleep", lambda _: None)
    monkeypatch.setattr("catalogs.store.backends.s3._RETRIES", {"total_max_attempts": 1})
    with faults(s3, ["busy"] * 1000) as store, pytest.raises(StoreError, match=r"cannot read .*faults/x"):
        store.read("x")

"""catalogs.store.store on a folder, in memory and on a real S3 endpoint."""

from __future__ import annotations

import hashlib
import http.client
import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import boto3
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from catalogs.store.store import Put, Store, open_store
from tests.s3 import BUCKET
from troupe.errors import SettingsError, StoreError


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_put_read_list(store: Store, tmp_path: Path) -> None:
    store.check()
    assert store.list() == []
    local = tmp_path / "in.mp4"
    local.write_bytes(b"moving")
    assert store.put(local, "renders/k1/full.mp4") == Put("renders/k1/full.mp4", 6, sha(b"moving"), created=True)
    assert store.put_bytes(b"", "renders/k1/empty").created
    assert store.put_bytes(b"x", "cache/a.b").created
    assert store.list() == ["cache/a.b", "renders/k1/empty", "renders/k1/full.mp4"]
    assert store.list("renders") == ["renders/k1/empty", "renders/k1/full.mp4"]
    assert store.list("nothing") == []
    assert store.exists("cache/a.b")
    assert not store.exists("cache")
    assert not store.exists("cache/a")
    assert store.read("renders/k1/empty") == b""
    store.get("renders/k1/full.mp4", tmp_path / "new" / "out.mp4")
    assert (tmp_path / "new" / "out.mp4").read_bytes() == b"moving"
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["out.mp4"]


def test_an_existing_file_is_never_overwritten(store: Store, tmp_path: Path) -> None:
    store.put_bytes(b"first", "cache/k")
    local = tmp_path / "second"
    local.write_bytes(b"the second")
    existing = Put("cache/k", 5, sha(b"first"), created=False)
    assert store.put(local, "cache/k") == existing
    assert store.put_bytes(b"the second", "cache/k") == existing
    assert store.read("cache/k") == b"first"
    store.replace(b"third one", "cache/k")
    assert store.read("cache/k") == b"third one"


def test_a_file_of_several_parts(s3: str, tmp_path: Path) -> None:
    store = open_store(f"s3://{BUCKET}/large")
    data = os.urandom(1 << 20) * 105  # s3fs sends more than 100 MiB in parts
    local = tmp_path / "large.bin"
    local.write_bytes(data)
    assert store.put(local, "large.bin") == Put("large.bin", len(data), sha(data), created=True)
    assert not store.put(local, "large.bin").created
    boto3.client("s3").delete_object(Bucket=BUCKET, Key="large/large.bin")


def test_uri_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("a/../b").uri("k/x") == str(tmp_path / "b" / "k" / "x")
    assert open_store(f"file://{tmp_path}/b/").uri("k") == str(tmp_path / "b" / "k")
    assert open_store("s3://bucket/p//").uri("k") == "s3://bucket/p/k"
    assert open_store("memory://").uri("k") == "memory://k"
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "a\\b", "a\nb"])
def test_keys_stay_in_the_store(folder_store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="not a valid key"):
        folder_store.put_bytes(b"x", key)
    with pytest.raises(ValueError, match="not a valid key"):
        folder_store.uri(key)


def test_missing_file(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot read .*no/such"):
        store.read("no/such")
    with pytest.raises(StoreError, match=r"cannot read .*no/such"):
        store.get("no/such", tmp_path / "out")
    assert list(tmp_path.glob("*out*")) + list(tmp_path.glob(".*")) == []


def test_entries_and_deleting(store: Store) -> None:
    store.put_bytes(b"one", "a/b")
    store.put_bytes(b"three", "c")
    found = {entry.key: entry for entry in store.entries()}
    assert {key: entry.bytes for key, entry in found.items()} == {"a/b": 3, "c": 5}
    for entry in found.values():
        assert entry.modified is not None
        assert abs((datetime.now(UTC) - entry.modified).total_seconds()) < 60
    assert [entry.key for entry in store.entries("a")] == ["a/b"]
    assert store.entries("nothing") == []
    store.delete("a/b")
    store.delete("a/b")
    assert store.list() == ["c"]


def test_a_store_without_exclusive_puts_is_checked_first(tmp_path: Path) -> None:
    class Plain(MemoryFileSystem):  # type: ignore[misc]
        """Overwrites existing files."""

        protocol = "plain"
        store: ClassVar[dict[str, Any]] = {}

        def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
            super().pipe_file(path, value, mode="overwrite", **kwargs)

    fsspec.register_implementation("plain", Plain, clobber=True)
    store = open_store("plain://x")
    assert not store.exclusive
    store.check()
    assert store.put_bytes(b"first", "k").created
    assert not store.put_bytes(b"second", "k").created
    local = tmp_path / "f"
    local.write_bytes(b"file")
    assert store.put(local, "f") == Put("f", 4, sha(b"file"), created=True)
    assert not store.put(local, "f").created
    assert store.read("k") == b"first"


def test_half_written_files_are_not_listed(folder_store: Store) -> None:
    folder_store.put_bytes(b"x", "cache/k")
    (Path(folder_store.url) / "cache" / ".0123.part").write_bytes(b"half")
    assert folder_store.list() == ["cache/k"]


def test_a_folder_without_hard_links(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert folder_store.put_bytes(b"first", "k").created
    assert not folder_store.put_bytes(b"second", "k").created
    assert folder_store.read("k") == b"first"
    assert [entry.name for entry in Path(folder_store.url).iterdir()] == ["k"]


def put_many(store: Store, mine: bytes) -> list[bool]:
    return [store.put_bytes(mine, f"race/{n}").created for n in range(25)]


def test_one_of_two_processes_creates(shared_store: Store) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        one, two = pool.map(put_many, [shared_store, shared_store], [b"one", b"two"])
    assert [a + b for a, b in zip(one, two, strict=True)] == [1] * 25
    for n, first in enumerate(one):
        assert shared_store.read(f"race/{n}") == (b"one" if first else b"two")


def test_one_of_many_threads_creates(store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        puts = list(pool.map(lambda n: store.put_bytes(b"%d" % n, "race"), range(24)))
    assert sum(put.created for put in puts) == 1
    assert {put.sha256 for put in puts} == {sha(store.read("race"))}


def test_survives_pickling_and_forking(shared_store: Store) -> None:
    shared_store.put_bytes(b"before", "a")
    copy = pickle.loads(pickle.dumps(shared_store))
    assert (copy.url, copy.read("a")) == (shared_store.url, b"before")
    child = multiprocessing.get_context("fork").Process(target=shared_store.put_bytes, args=(b"after", "b"))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert shared_store.read("b") == b"after"


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


def test_delta_of_other_stores(tmp_path: Path) -> None:
    assert open_store(str(tmp_path / "a b#ü")).delta() == (str(tmp_path / "a b#ü" / "catalog"), {})
    assert open_store(str(tmp_path / "a%20b")).delta() is None
    assert open_store(str(tmp_path / "a[1]")).delta() is None
    assert open_store("memory://x").delta() is None


def test_content_type(s3: str) -> None:
    store = open_store(f"s3://{BUCKET}/types")
    store.put_bytes(b"<p>", "report/index.html")
    answer = boto3.client("s3").head_object(Bucket=BUCKET, Key="types/report/index.html")
    assert answer["ContentType"] == "text/html"


@pytest.mark.parametrize("below", [".", "store", "deep/store"])
def test_not_writable(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match=r"cannot write to .*a file is where a folder should be"):
        open_store(str(tmp_path / "file" / below)).check()


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


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "empty"),
        ("s3://key:Sesame@bucket/x", "carries credentials"),
        ("nosuch://x/y", "unknown scheme nosuch://"),
    ],
)
def test_impossible_urls(url: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        open_store(url)
    assert "Sesame" not in str(caught.value)


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
    monkeypatch.setattr("catalogs.store.s3._RETRIES", {"total_max_attempts": 1})
    with faults(s3, ["busy"] * 1000) as store, pytest.raises(StoreError, match=r"cannot read .*faults/x"):
        store.read("x")

"""catalogs.store.store on a folder, in memory and on a real S3 endpoint."""

from __future__ import annotations

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from catalogs.store.store import Put, Store, open_store
from tests.catalogs.conftest import sha256
from troupe.errors import SettingsError, StoreError


def test_put_read_list(store: Store, tmp_path: Path) -> None:
    store.check()
    assert store.list() == []
    local = tmp_path / "in.mp4"
    local.write_bytes(b"moving")
    assert store.put(local, "renders/k1/full.mp4") == Put("renders/k1/full.mp4", 6, sha256(b"moving"), created=True)
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
    existing = Put("cache/k", 5, sha256(b"first"), created=False)
    assert store.put(local, "cache/k") == existing
    assert store.put_bytes(b"the second", "cache/k") == existing
    assert store.read("cache/k") == b"first"
    store.replace(b"third one", "cache/k")
    assert store.read("cache/k") == b"third one"


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
    assert store.put(local, "f") == Put("f", 4, sha256(b"file"), created=True)
    assert not store.put(local, "f").created
    assert store.read("k") == b"first"


def put_many(store: Store, content: bytes) -> list[bool]:
    return [store.put_bytes(content, f"race/{n}").created for n in range(25)]


@pytest.mark.long
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
    assert {put.sha256 for put in puts} == {sha256(store.read("race"))}


def test_survives_pickling_and_forking(shared_store: Store) -> None:
    shared_store.put_bytes(b"before", "a")
    copy = pickle.loads(pickle.dumps(shared_store))
    assert (copy.url, copy.read("a")) == (shared_store.url, b"before")
    child = multiprocessing.get_context("fork").Process(target=shared_store.put_bytes, args=(b"after", "b"))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert shared_store.read("b") == b"after"


def test_delta_of_other_stores(tmp_path: Path) -> None:
    assert open_store(str(tmp_path / "a b#ü")).delta() == (str(tmp_path / "a b#ü" / "catalog"), {})
    assert open_store(str(tmp_path / "a%20b")).delta() is None
    assert open_store(str(tmp_path / "a[1]")).delta() is None
    assert open_store("memory://x").delta() is None


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

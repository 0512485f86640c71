"""tasks.weights.local_copy: weights in a bucket are fetched once per machine, and again when they change."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from catalogs.store.store import open_store
from tasks.weights.local_copy import cache_folder, local_file, local_weights
from tests.s3 import BUCKET
from troupe.errors import WeightsError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TROUPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_weights_are_fetched_once_and_anew_when_they_change(s3: str, cache: Path) -> None:
    uri = f"s3://{BUCKET}/weights-{uuid4().hex}"
    store = open_store(uri)
    for name in ("troupe.json", "unet/config.json"):
        store.put_bytes(b"one", name)
    with ThreadPoolExecutor(4) as threads:
        (place,) = set(threads.map(local_weights, [uri] * 4))
    assert [(place / name).read_bytes() for name in ("troupe.json", "unet/config.json")] == [b"one", b"one"]
    (place / "mark").touch()
    assert (local_weights(uri) / "mark").exists(), "it is not fetched again"
    store.replace(b"two", "troupe.json")
    assert (local_weights(uri) / "troupe.json").read_bytes() == b"two"
    assert not list(cache.rglob("*.part"))


def test_a_file_is_fetched_once(s3: str, cache: Path) -> None:
    store = open_store(f"s3://{BUCKET}/file-{uuid4().hex}")
    store.put_bytes(b"net", "detector.onnx")
    place = local_file(store.uri("detector.onnx"))
    assert (place.read_bytes(), place.suffix) == (b"net", ".onnx")
    assert local_file(store.uri("detector.onnx")) == place


def test_local_ones_stay_where_they_are(tmp_path: Path) -> None:
    assert local_weights(str(tmp_path)) == local_weights(f"file://{tmp_path}") == tmp_path
    (tmp_path / "a").touch()
    assert local_file(str(tmp_path / "a")) == tmp_path / "a"


def test_local_ones_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"the weights directory .*/b does not exist"):
        local_weights(str(tmp_path / "b"))
    with pytest.raises(WeightsError, match=r"the file .*/b does not exist"):
        local_file(str(tmp_path / "b"))


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}/nothing-here", "s3://no-such-bucket-here/x"])
def test_weights_that_are_not_there(s3: str, cache: Path, uri: str) -> None:
    with pytest.raises(WeightsError, match=uri):
        local_weights(uri)
    with pytest.raises(WeightsError, match="cannot be fetched"):
        local_file(uri + "/detector.onnx")


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TROUPE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "troupe"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "troupe"
    monkeypatch.setenv("TROUPE_CACHE", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen"

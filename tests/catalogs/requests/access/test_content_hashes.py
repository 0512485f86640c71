"""catalogs.requests.access.content_hashes: hashes of local files, S3 and memory, remembered in the store."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.store.store import Store, open_store
from tests.catalogs.conftest import sha256
from tests.catalogs.requests.conftest import write
from troupe.errors import InputError, MissingInput, StoreError, TroupeError


def test_hashes_are_remembered_from_run_to_run(store: Store, place: str, tmp_path: Path) -> None:
    uris = [f"{place}/{n}.png" for n in range(3)]
    for n, uri in enumerate(uris):
        write(uri, b"content %d" % n)
    expected = {uri: sha256(b"content %d" % n) for n, uri in enumerate(uris)}
    first = ContentHashes(store)
    assert first.of(uris[0]) == expected[uris[0]]
    assert first.of_many([*uris, uris[0]]) == expected
    first.save("r1")
    assert len(store.list("cache/hashes")) == 1
    first.save("r1")
    assert len(store.list("cache/hashes")) == 1

    second = ContentHashes(store, lambda uri, *_: pytest.fail(f"{uri} was read again"))
    assert second.of_many(uris) == expected
    second.save("r2")
    assert len(store.list("cache/hashes")) == 1

    write(uris[1], b"changed")
    third = ContentHashes(store)
    assert third.of_many(uris) == {**expected, uris[1]: sha256(b"changed")}
    third.save("r1")  # the same run, resumed
    assert len(store.list("cache/hashes")) == 2
    assert ContentHashes(store).of_many(uris) == {**expected, uris[1]: sha256(b"changed")}


def test_a_file_exchanged_for_one_of_the_same_size_and_time(folder_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    known = ContentHashes(folder_store)
    assert known.of(str(path)) == sha256(b"one")
    status = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert known.of(str(path)) == sha256(b"two")


def test_one_missing_input_does_not_affect_others(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    found = ContentHashes(folder_store).of_many([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    assert found[str(tmp_path / "a.png")] == sha256(b"one")
    assert isinstance(found[str(tmp_path / "b.png")], MissingInput)
    assert isinstance(found[str(tmp_path / "b.png")], TroupeError)


def test_an_input_that_changes_while_it_is_read(folder_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"half")

    def grow(*_: object) -> None:
        path.write_bytes(b"half and half")

    known = ContentHashes(folder_store, grow)
    with pytest.raises(InputError, match="changed while it was being read"):
        known.of(str(path))
    known.save("r1")
    assert folder_store.list() == []


def test_a_damaged_file_is_ignored(folder_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder_store.put_bytes(b"not parquet", "cache/hashes/r0.parquet")
    (tmp_path / "a.png").write_bytes(b"one")
    assert ContentHashes(folder_store).of(str(tmp_path / "a.png")) == sha256(b"one")
    assert "r0.parquet is damaged" in caplog.text


def test_an_input_is_read_once(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    reads: list[str] = []
    known = ContentHashes(folder_store, lambda uri, *_: reads.append(uri))
    uris = [f"{tmp_path}/a.png", f"{tmp_path}/./a.png"]
    known.of_many(uris * 4)
    known.of_many(uris)
    assert sorted(reads) == sorted(uris)


def test_a_store_that_does_not_work(tmp_path: Path) -> None:
    known = ContentHashes(open_store(str(tmp_path / "file")))
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "a.png").write_bytes(b"one")
    with pytest.raises(StoreError):
        known.of(str(tmp_path / "a.png"))


def test_no_credential_of_a_uri_is_remembered(folder_store: Store) -> None:
    write("memory://secrets/a.png?sig=c0ffee", b"one")
    write("memory://secrets/a.png?sig=c0ffed", b"two")
    hashes = ContentHashes(folder_store)
    signed = ["memory://secrets/a.png?sig=c0ffee", "memory://secrets/a.png?sig=c0ffed"]
    assert hashes.of_many(signed) == {signed[0]: sha256(b"one"), signed[1]: sha256(b"two")}
    hashes.save("r")
    (key,) = folder_store.list("cache/hashes")
    stored = pq.read_table(io.BytesIO(folder_store.read(key))).column("uri").to_pylist()
    assert all(uri.startswith("memory://secrets/a.png?sig=***#") for uri in stored)
    again = ContentHashes(folder_store, lambda uri, *_: pytest.fail(f"{uri} was read again"))
    assert again.of(signed[0]) == sha256(b"one")

"""catalogs.requests.inputs and catalogs.requests.content_hashes: local files, S3 and memory."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import fsspec
import pytest

from catalogs.requests import content_hashes as hashes
from catalogs.requests.content_hashes import ContentHashes
from catalogs.requests.inputs import files_in, localise, read, stat
from catalogs.store.store import Store, open_store
from tests.s3 import BUCKET
from troupe.errors import InputError, MissingInput, StoreError, TroupeError


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder for inputs."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://{BUCKET}/inputs-{tmp_path.name}"
    return f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path / "inputs")


def write(uri: str, data: bytes) -> None:
    with fsspec.open(uri, "wb", auto_mkdir=True) if "://" not in uri else fsspec.open(uri, "wb") as file:
        file.write(data)


def test_stat_tells_states_apart(place: str) -> None:
    uri = f"{place}/a.png"
    write(uri, b"one")
    before = stat(uri)
    assert (before.uri, before.size) == (uri, 3)
    assert before.version
    assert stat(uri) == before
    write(uri, b"two")
    assert stat(uri).size == 3
    assert stat(uri) != before


def test_localise(place: str, tmp_path: Path) -> None:
    uri = f"{place}/sub/-a b.PNG"
    write(uri, b"picture")
    local = localise(uri, tmp_path / "work")
    assert local.read_bytes() == b"picture"
    assert local.suffix == ".PNG"
    if "://" in uri:
        assert local.parent == tmp_path / "work"
        assert [entry.name for entry in local.parent.iterdir()] == [local.name]
        other = uri.replace("sub", "other")
        write(other, b"another")
        assert localise(other, tmp_path / "work") != local
    else:
        assert local == Path(uri)
        assert not (tmp_path / "work").exists()
    assert read(uri) == b"picture"


def test_nothing_there(place: str, tmp_path: Path) -> None:
    write(f"{place}/folder/x", b"")
    for wrong in (f"{place}/none.png", f"{place}/folder"):
        for ask in (stat, lambda uri: localise(uri, tmp_path / "work")):
            with pytest.raises(MissingInput) as caught:
                ask(wrong)
            assert wrong in str(caught.value)
    assert not any((tmp_path / "work").iterdir()) if (tmp_path / "work").exists() else True
    with pytest.raises(MissingInput, match="none"):
        read(f"{place}/none.csv")
    with pytest.raises(MissingInput, match="none"):
        files_in(f"{place}/none")


def test_files_in(place: str) -> None:
    for name in ("b.png", "a.PNG", ".hidden.png", "sub/c.png"):
        write(f"{place}/{name}", b"x")
    found = files_in(place)
    assert [uri.rpartition("/")[2] for uri in found] == ["a.PNG", "b.png"]
    assert [read(uri) for uri in found] == [b"x", b"x"]


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nosuch://x/a.png", "unknown scheme nosuch://"),
        ("s3://key:Sesame@bucket/a.png", "carries credentials"),
        ("/dev/null", "is not a file"),
        ("/etc/hostname/x.png", "not a file or folder"),
    ],
)
def test_impossible_uris(uri: str, message: str) -> None:
    with pytest.raises(MissingInput, match=message) as caught:
        stat(uri)
    assert "Sesame" not in str(caught.value)


def test_a_place_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalogs.store.retry.time.sleep", lambda _: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "Sesame-123")
    monkeypatch.setattr("catalogs.store.s3._RETRIES", {"total_max_attempts": 1})
    with pytest.raises(StoreError, match=r"cannot read s3://unreachable/a\.png"):
        stat("s3://unreachable/a.png")


def test_hashes_are_remembered_from_run_to_run(
    store: Store, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uris = [f"{place}/{n}.png" for n in range(3)]
    for n, uri in enumerate(uris):
        write(uri, b"content %d" % n)
    expected = {uri: sha(b"content %d" % n) for n, uri in enumerate(uris)}
    first = ContentHashes(store)
    assert first.of(uris[0]) == expected[uris[0]]
    assert first.of_many([*uris, uris[0]]) == expected
    first.save("r1")
    assert store.list("cache/hashes") == ["cache/hashes/r1.parquet"]
    first.save("r1")
    assert store.list("cache/hashes") == ["cache/hashes/r1.parquet"]

    with monkeypatch.context() as patch:
        patch.setattr(hashes, "_hash", lambda uri, _: pytest.fail(f"{uri} was read again"))
        second = ContentHashes(store)
        assert second.of_many(uris) == expected
        second.save("r2")
    assert store.list("cache/hashes") == ["cache/hashes/r1.parquet"]

    write(uris[1], b"changed")
    third = ContentHashes(store)
    assert third.of_many(uris) == {**expected, uris[1]: sha(b"changed")}
    third.save("r1")  # the same run, resumed
    assert store.list("cache/hashes") == ["cache/hashes/r1-2.parquet", "cache/hashes/r1.parquet"]
    assert ContentHashes(store).of_many(uris) == {**expected, uris[1]: sha(b"changed")}


def test_a_file_exchanged_for_one_of_the_same_size_and_time(folder_store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"one")
    known = ContentHashes(folder_store)
    assert known.of(str(path)) == sha(b"one")
    status = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert known.of(str(path)) == sha(b"two")


def test_one_missing_input_is_its_own_trouble(folder_store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    found = ContentHashes(folder_store).of_many([str(tmp_path / "a.png"), str(tmp_path / "b.png")])
    assert found[str(tmp_path / "a.png")] == sha(b"one")
    assert isinstance(found[str(tmp_path / "b.png")], MissingInput)
    assert isinstance(found[str(tmp_path / "b.png")], TroupeError)


def test_an_input_that_changes_while_it_is_read(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"half")

    def reading(uri: str, _: object) -> str:
        path.write_bytes(b"half and half")
        return "torn"

    monkeypatch.setattr(hashes, "_hash", reading)
    known = ContentHashes(folder_store)
    with pytest.raises(InputError, match="changed while it was being read"):
        known.of(str(path))
    known.save("r1")
    assert folder_store.list() == []


def test_a_damaged_log_is_left_out(folder_store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder_store.put_bytes(b"not parquet", "cache/hashes/r0.parquet")
    (tmp_path / "a.png").write_bytes(b"one")
    assert ContentHashes(folder_store).of(str(tmp_path / "a.png")) == sha(b"one")
    assert "r0.parquet is damaged" in caplog.text


def test_an_input_is_read_once_whoever_asks(
    folder_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(b"one")
    reads: list[str] = []
    monkeypatch.setattr(hashes, "_hash", lambda uri, _: reads.append(uri) or "abc")  # type: ignore[func-returns-value]
    known = ContentHashes(folder_store)
    uris = [f"{tmp_path}/a.png", f"{tmp_path}/./a.png"]
    known.of_many(uris * 4)
    known.of_many(uris)
    assert sorted(reads) == sorted(uris)


def test_a_store_that_does_not_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "a.png").write_bytes(b"one")
    known = ContentHashes(open_store(str(tmp_path / "file")))
    with pytest.raises(StoreError):
        known.of(str(tmp_path / "a.png"))

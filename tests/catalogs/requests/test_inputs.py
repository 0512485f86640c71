"""catalogs.requests.inputs: local files, S3 and memory."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.requests.access.input_policy import trusting
from catalogs.requests.inputs import files_in, localise, read, stat
from catalogs.store.store import Store
from tests.catalogs.requests.conftest import write
from troupe.errors import Cancelled, MissingInput, StoreError, TooLarge

UNSUPPORTED = ("zip", "tar", "dir", "generic", "hdfs", "data", "reference", "github", "ftp", "sftp", "libarchive")


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
    assert local.name == "-a b.PNG"
    if "://" in uri:
        assert local.parent.parent == tmp_path / "work"
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


def test_a_missing_local_file_names_similar_ones(tmp_path: Path) -> None:
    dubs = ("dubs/hello.en.srt", "dubs/dub_en.wav", "dubs/hello.zh-Hant.wav", "dubs/de.srt", "dubs/hello.fr.vtt")
    for name in ("portraits/ada.png", "portraits/bob.png", "portraits/.ada.jpg", *dubs):
        write(str(tmp_path / name), b"x")
    expected = {
        "portraits/ada.jpg": "does not exist; did you mean 'ada.png'?",
        "portraits/Bob.png": "does not exist; did you mean 'bob.png'?",
        "portraits/zoe.tiff": "does not exist; check the path",
        "portraits/eda.png": "does not exist; did you mean 'ada.png'?",
        "dubs/helo.en.srt": "does not exist; did you mean 'hello.en.srt'?",
        "dubs/hello.fr.srt": "does not exist; did you mean 'hello.fr.vtt'?",
        "dubs/dub_fr.wav": "does not exist; check the path",
        "dubs/hello.zh-Hans.wav": "does not exist; check the path",
        "dubs/hello.fr.wav": "does not exist; did you mean 'hello.fr.vtt'?",
        "dubs/en.srt": "does not exist; check the path",
        "portrait/ada.png": f"does not exist, nor does its folder; did you mean the folder '{tmp_path}/portraits'?",
        "elsewhere/x/ada.png": "does not exist, nor does its folder; check the path",
    }
    for name, message in expected.items():
        with pytest.raises(MissingInput) as caught:
            stat(str(tmp_path / name))
        assert caught.value.message == f"{tmp_path / name} {message}"
    with pytest.raises(MissingInput, match=r"portrait does not exist; did you mean 'portraits'\?"):
        files_in(str(tmp_path / "portrait"))


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
        ("n" * 300, "name too long"),
        ("/" + "d/" * 3000 + "x", "name too long"),
        ("a\0b", "not a valid URI: embedded null byte"),
        ("/proc/self/mem", "a file of the system"),
        ("/proc/kmsg", "a file of the system"),
        ("/sys/kernel/notes", "a file of the system"),
        *((f"{scheme}://x", f"unknown scheme {scheme}://; use a path, or file://.* s3://") for scheme in UNSUPPORTED),
    ],
)
def test_impossible_uris(uri: str, message: str) -> None:
    with pytest.raises(MissingInput, match=message) as caught:
        stat(uri)
    assert "Sesame" not in str(caught.value)


def test_a_server_that_does_not_respond(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalogs.store.retry.time.sleep", lambda _: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "Sesame-123")
    monkeypatch.setattr("catalogs.store.backends.s3._RETRIES", {"total_max_attempts": 1})
    with pytest.raises(StoreError, match=r"cannot read s3://unreachable/a\.png"):
        stat("s3://unreachable/a.png")


def test_the_size_of_an_input_is_limited_before_and_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = tmp_path / "sparse.mp4"
    with sparse.open("wb") as file:
        file.truncate(4 * 10**12)
    with pytest.raises(TooLarge, match=r"more than 200000000000 bytes.*TROUPE_MAX_INPUT_BYTES"):
        stat(str(sparse))

    class Endless(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            with suppress(OSError):
                while True:
                    self.wfile.write(bytes(1 << 16))

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("TROUPE_MAX_INPUT_BYTES", "10000000")
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/a.png"
        with pytest.raises(TooLarge, match="more than 10000000 bytes"):
            localise(url, tmp_path / "work", policy=trusting(url))
        monkeypatch.delenv("TROUPE_MAX_INPUT_BYTES")
        with pytest.raises(Cancelled):
            localise(url, tmp_path / "work", after(3), policy=trusting(url))
        server.shutdown()
    assert not [path for path in (tmp_path / "work").rglob("*") if path.is_file()]


def test_a_copy_has_the_name_of_its_input_unless_no_file_may_have_it(tmp_path: Path) -> None:
    names = {"ruby.png": "ruby.png", "..": "input", "x" * 300 + ".png": "input.png", "a\u202eb.png": "input.png"}
    for name, local in names.items():
        uri = f"memory://{tmp_path.name}/{name}"
        write(uri, b"picture") if name != ".." else None
        with suppress(MissingInput):
            copy = localise(uri, tmp_path / "work")
            assert (copy.name, copy.parent.parent) == (local, tmp_path / "work")
            assert copy.read_bytes() == b"picture"


def test_a_stop_is_noticed_while_a_large_file_is_hashed(folder_store: Store, tmp_path: Path) -> None:
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(100 * 10**9)
    with pytest.raises(Cancelled):
        ContentHashes(folder_store, raise_if_cancelled=after(3)).of(str(large))


def after(calls: int) -> Callable[[], None]:
    """Return a function that raises Cancelled from its fourth call on, if `calls` is 3."""
    left = iter(range(calls))

    def raise_if_cancelled() -> None:
        if next(left, None) is None:
            raise Cancelled("enough")

    return raise_if_cancelled

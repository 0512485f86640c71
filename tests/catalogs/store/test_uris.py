"""catalogs.store.uris."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.store import uris


@pytest.mark.parametrize(
    ("uri", "scheme", "name", "parent"),
    [
        ("/a/b.png", "", "b.png", "/a"),
        ("file:///a/b.png", "", "b.png", "/a"),
        ("s3://bucket/a/b.png", "s3", "b.png", "s3://bucket/a"),
        ("S3://bucket/b?c#d", "s3", "b?c#d", "S3://bucket"),
        ("https://host/a/b.mp4?token=x/y", "https", "b.mp4", "https://host/a"),
        ("/a/-rf", "", "-rf", "/a"),
        ("/a/b:/c", "", "c", "/a/b:"),
    ],
)
def test_parts(uri: str, scheme: str, name: str, parent: str) -> None:
    assert (uris.scheme(uri), uris.name(uri), uris.parent(uri)) == (scheme, name, parent)


@pytest.mark.parametrize(
    ("uri", "base", "expected"),
    [
        ("a.png", "/data", "/data/a.png"),
        ("./p/a.png", "/data", "/data/p/a.png"),
        ("../a.png", "/data/x", "/data/x/../a.png"),
        ("-rf.png", "/data", "/data/-rf.png"),
        ("/other/a.png", "s3://bucket/x", "/other/a.png"),
        ("file:///other/a.png", "/data", "/other/a.png"),
        ("file:///my%20clip%C3%A9.mp4", "/data", "/my clipé.mp4"),
        ("file:///100%.mp4", "/data", "/100%.mp4"),
        ("a\udcff.mp4", "/data", "file:///data/a%FF.mp4"),
        ("s3://b/a", "/data", "s3://b/a"),
        ("p/a.png", "s3://bucket/x", "s3://bucket/x/p/a.png"),
        ("../a.png", "s3://bucket/x", "s3://bucket/a.png"),
        ("a.png", "s3://bucket", "s3://bucket/a.png"),
    ],
)
def test_absolute(uri: str, base: str, expected: str) -> None:
    assert uris.absolute(uri, base) == expected


def test_a_relative_base_is_the_working_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert uris.absolute("a.png", "in") == str(tmp_path / "in" / "a.png")
    assert uris.parent("jobs.csv") == str(tmp_path)


def test_out_of_the_bucket() -> None:
    with pytest.raises(ValueError, match="leads out of s3://bucket"):
        uris.absolute("../../a.png", "s3://bucket/x")


def test_credentials() -> None:
    assert uris.has_credentials("s3://key:secret@bucket/a")
    assert uris.has_credentials("https://user@host/a")
    assert not uris.has_credentials("s3://bucket/a@b")
    assert not uris.has_credentials("/a/b@c:d")
    assert uris.redacted("s3://key:secret@bucket/a@b") == "s3://***@bucket/a@b"
    assert uris.redacted("s3://bucket/a@b") == "s3://bucket/a@b"


PRESIGNED = "https://h/a.png?id=7&X-Amz-Credential=AK%2Fx&X-Amz-Signature=c0ffee&X-Amz-Security-Token=c0ffee&v=2"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (PRESIGNED, "https://h/a.png?id=7&X-Amz-Credential=***&X-Amz-Signature=***&X-Amz-Security-Token=***&v=2"),
        (
            "https://x.blob.core.windows.net/c/a?sv=2022&sig=c0ffee%3D",
            "https://x.blob.core.windows.net/c/a?sv=2022&sig=***",
        ),
        ("https://h/a?GoogleAccessId=me&Signature=c0ffee", "https://h/a?GoogleAccessId=me&Signature=***"),
        (
            "https://h/a?X%2DAmz%2DSignature=c0ffee#access_token=c0ffee",
            "https://h/a?X%2DAmz%2DSignature=***#access_token=***",
        ),
        (f"https://h/a?t={'c0ffee' * 6}&name=a.png", "https://h/a?t=***&name=a.png"),
        ("s3://key:c0ffee@b/a?token=c0ffee", "s3://***@b/a?token=***"),
        ("https://h/a.png?author=me&width=640", "https://h/a.png?author=me&width=640"),
        ("/data/a?token=1.png", "/data/a?token=1.png"),
        ("abfss://container@account/a", "abfss://container@account/a"),
    ],
)
def test_redacted(uri: str, shown: str) -> None:
    assert uris.redacted(uri) == shown
    assert uris.redacted(shown) == shown
    assert uris.redacted_value({"uris": [uri, 1], "by name": (uri,)}) == {"uris": [shown, 1], "by name": (shown,)}
    assert uris.redacted_text(f"GET '{uri}' failed (403)") == f"GET '{shown}' failed (403)"


def test_control_characters_are_escaped() -> None:
    """Titles of terminals, colours, C1 and the order of letters; lines and tabs of a text stay."""
    hostile = "/faces/a\x1b]0;owned\x07\x9b31m\u202egnp.png"
    shown = "/faces/a\\x1b]0;owned\\x07\\x9b31m\\u202egnp.png"
    assert uris.redacted(hostile) == uris.redacted_text(hostile) == uris.redacted_value(hostile) == shown
    assert uris.redacted(shown) == shown
    assert uris.redacted_text("one\n\ttwo Zoë 王") == "one\n\ttwo Zoë 王"

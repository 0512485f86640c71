"""Signatures of webhooks, against the standard's own example and by hand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalogs.events import SECRET_VARIABLE, create_secret_file, load_signer
from troupe.errors import SettingsError

NOW = datetime(2021, 12, 7, 15, 23, 34, tzinfo=UTC)
EXAMPLE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_example_of_the_standard(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(f"{EXAMPLE}\n")
    body = b'{"test": 2432232314}'
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = load_signer(str(file)).headers("msg_p5jXN8AQM9LWM0D4loKWxJek", body, at)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-timestamp"] == "1614265330"


def test_two_secrets_while_one_replaces_the_other(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    create_secret_file(old)
    create_secret_file(new)
    assert old.stat().st_mode & 0o077 == 0
    both = tmp_path / "both"
    both.write_text(old.read_text() + new.read_text())
    signatures = load_signer(str(both)).headers("evt_1", b"{}", NOW)["webhook-signature"].split(" ")
    for file, signature in zip((old, new), signatures, strict=True):
        key = base64.b64decode(file.read_text().strip().removeprefix("whsec_"))
        digest = hmac.new(key, f"evt_1.{int(NOW.timestamp())}.{{}}".encode(), hashlib.sha256).digest()
        assert signature == f"v1,{base64.b64encode(digest).decode()}"


def test_the_secret_leaves_the_environment_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET_VARIABLE, EXAMPLE)
    first = load_signer("").headers("evt_1", b"{}", NOW)
    assert SECRET_VARIABLE not in os.environ, "Ray's workers would inherit it"
    assert load_signer("").headers("evt_1", b"{}", NOW) == first


def test_without_a_secret_the_option_that_writes_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalogs.events.signature._taken", {})
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)
    with pytest.raises(SettingsError, match=f"{SECRET_VARIABLE} has no secret; .* starts with whsec_, .*--secret-file"):
        load_signer("")


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_c2hvcnQ=", "secret", "whsec_%%%", EXAMPLE.removeprefix("whsec_")]
)
def test_invalid_secrets_are_refused_without_being_shown(text: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_signer(str(file))
    assert str(file) in str(caught.value)
    assert len(text) < 8 or text not in str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_signer(str(tmp_path / "none"))

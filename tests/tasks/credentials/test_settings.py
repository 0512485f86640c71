"""Settings of the signer, from a folder and from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.credentials.settings import SigningSettings, signing_settings
from troupe.errors import SigningError

FILES = {"TROUPE_SIGNING_CERTIFICATE": "/c.pem", "TROUPE_SIGNING_KEY": "/k.pem"}


def test_nothing_is_configured_by_default() -> None:
    assert signing_settings("", {}) is None
    assert signing_settings("", {"TROUPE_SIGNING_KEY": " "}) is None


def test_files_of_the_environment_and_of_a_folder() -> None:
    assert signing_settings("", FILES) == SigningSettings(Path("/c.pem"), Path("/k.pem"))
    assert signing_settings("/d", FILES) == SigningSettings(Path("/d/certificate.pem"), Path("/d/key.pem"))


def test_a_command_signs_for_the_certificate_of_a_folder() -> None:
    environment = {"TROUPE_SIGNING_COMMAND": "hsm sign", "TROUPE_SIGNING_TIMEOUT": "5"}
    settings = signing_settings("/d", environment)
    assert settings == SigningSettings(Path("/d/certificate.pem"), command="hsm sign", timeout=5.0)


def test_all_problems_are_reported_together() -> None:
    environment = {
        "TROUPE_SIGNING_COMMAND": "hsm",
        "TROUPE_SIGNING_CALLBACK": "kms:sign",
        "TROUPE_SIGNING_TIMEOUT": "soon",
        "TROUPE_TIMESTAMP_URL": "ftp://time",
    }
    with pytest.raises(SigningError) as raised:
        signing_settings("", environment)
    assert [problem.split(";")[0] for problem in raised.value.problems] == [
        "TROUPE_SIGNING_COMMAND and TROUPE_SIGNING_CALLBACK are set",
        "TROUPE_SIGNING_CERTIFICATE is not set",
        "TROUPE_SIGNING_TIMEOUT is 'soon'",
        "TROUPE_TIMESTAMP_URL is 'ftp://time'",
    ]


def test_a_certificate_alone_does_not_sign() -> None:
    with pytest.raises(SigningError, match="nothing signs: set TROUPE_SIGNING_KEY"):
        signing_settings("", {"TROUPE_SIGNING_CERTIFICATE": "/c.pem"})

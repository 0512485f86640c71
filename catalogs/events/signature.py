"""Signatures of webhooks as Standard Webhooks defines them, and their secrets.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from standardwebhooks import Webhook

from troupe.errors import SettingsError

__all__ = ["SECRET_VARIABLE", "Signer", "create_secret_file", "load_signer"]

SECRET_VARIABLE = "TROUPE_WEBHOOK_SECRET"
"""Environment variable with the secret of all endpoints that name no file."""
_PREFIX = "whsec_"
_LEAST, _MOST = 24, 64
"""Bytes of a secret, by the specification."""
_taken: dict[str, str] = {}


class Signer:
    """Signs webhooks. Its secrets are never shown.

    Args:
        keys: one secret, or several while they are exchanged: the receiver accepts any of the signatures.
        where: where they are from, for messages.

    Raises:
        SettingsError: a secret is invalid.
    """

    def __init__(self, keys: list[str], where: str) -> None:
        if not keys:
            raise SettingsError(
                f"{where} has no secret; write one that starts with {_PREFIX}, or name a file by --secret-file, "
                "which is written with a new secret if it is missing"
            )
        self._webhooks = [Webhook(_checked(key, where)) for key in keys]

    def headers(self, event_id: str, payload: bytes, now: datetime) -> Mapping[str, str]:
        """Return the headers of a request that sends a payload now."""
        text = payload.decode()
        return {
            "webhook-id": event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(
                webhook.sign(event_id, now.astimezone(UTC), text) for webhook in self._webhooks
            ),
        }


def load_signer(secret_file: str) -> Signer:
    """Return the signer with the secrets of a file, one per line, or of `TROUPE_WEBHOOK_SECRET`.

    The variable is taken out of the environment, so that no process that is started later inherits it.

    Args:
        secret_file: path of the file; empty for the variable.

    Raises:
        SettingsError: there is no secret, or one is invalid.
    """
    if not secret_file:
        if text := os.environ.pop(SECRET_VARIABLE, ""):
            _taken[SECRET_VARIABLE] = text
        return Signer(_taken.get(SECRET_VARIABLE, "").split(), f"the environment variable {SECRET_VARIABLE}")
    try:
        return Signer(Path(secret_file).read_text().split(), secret_file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise SettingsError(f"cannot read the webhook secret in {secret_file}: {reason}") from None


def create_secret_file(path: Path) -> None:
    """Write a new secret to a file that only this user can read.

    Raises:
        SettingsError: it exists, or cannot be written.
    """
    text = _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{text}\n")
    except OSError as error:
        raise SettingsError(f"cannot write the webhook secret to {path}: {error.strerror}") from error


def _checked(key: str, where: str) -> str:
    try:
        size = len(base64.b64decode(key.removeprefix(_PREFIX), validate=True)) if key.startswith(_PREFIX) else 0
    except binascii.Error:
        size = 0
    if not _LEAST <= size <= _MOST:
        raise SettingsError(
            f"{where} has an invalid secret: it must be {_PREFIX} and {_LEAST} to {_MOST} bytes in base64, such as "
            f'"{_PREFIX}$(openssl rand -base64 32)"'
        )
    return key

"""The key of the watermark, from the environment or a file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from troupe.errors import SettingsError

__all__ = ["KEY", "KEY_FILE", "PUBLIC_KEY", "WatermarkKey", "load_key"]

KEY = "TROUPE_WATERMARK_KEY"
KEY_FILE = "TROUPE_WATERMARK_KEY_FILE"
_SHORTEST = 16
_LONGEST = 4096
_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class WatermarkKey:
    """A key: who has it can read the watermark, and remove it.

    Attributes:
        secret: the key itself; never shown, logged or stored.
        id: what rows and records have of it: 8 hex digits of a hash, or `public`.
    """

    secret: bytes = field(repr=False)
    id: str

    @classmethod
    def of(cls, secret: bytes) -> WatermarkKey:
        """Return the key with its id.

        Raises:
            SettingsError: it is too short or too long.
        """
        if not _SHORTEST <= len(secret) <= _LONGEST:
            raise SettingsError(
                f"the watermark key has {len(secret)} bytes; use {_SHORTEST} to {_LONGEST}, such as the output of "
                f"`openssl rand -hex 32`"
            )
        # Slow, so that short keys are not found from their id.
        digest = hashlib.pbkdf2_hmac("sha256", secret, b"troupe watermark key id", 100_000)
        return cls(secret, digest.hex()[:_ID_DIGITS])


PUBLIC_KEY = WatermarkKey(b"troupe: the public watermark key, which everybody knows", "public")
"""Used where no key is set: everybody can read and remove its watermarks."""


def load_key() -> WatermarkKey:
    """Return the key in `TROUPE_WATERMARK_KEY`, or in the file that `TROUPE_WATERMARK_KEY_FILE` names.

    Where neither is set, it is the public key.

    Raises:
        SettingsError: both are set, the file cannot be read, or the key is too short.
    """
    text, path = os.environ.get(KEY, ""), os.environ.get(KEY_FILE, "")
    if text and path:
        raise SettingsError(f"{KEY} and {KEY_FILE} are both set; unset one")
    if path:
        try:
            return WatermarkKey.of(Path(path).read_bytes().strip())
        except OSError as error:
            raise SettingsError(f"cannot read the watermark key in {path}: {error.strerror}") from None
    return WatermarkKey.of(text.strip().encode()) if text else PUBLIC_KEY

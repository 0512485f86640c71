"""The key of the watermark, from the environment or a file."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from troupe.errors import SettingsError
from troupe.files import file_sha256, is_torchscript

__all__ = ["KEY", "KEY_FILE", "MODEL", "PUBLIC_KEY", "WatermarkKey", "load_key"]

KEY = "TROUPE_WATERMARK_KEY"
KEY_FILE = "TROUPE_WATERMARK_KEY_FILE"
MODEL = "TROUPE_WATERMARK_MODEL"
"""Path of a TorchScript module that replaces troupe's watermark; see `tasks.media.watermark.model`."""
_SHORTEST = 16
_LONGEST = 4096
_ID_DIGITS = 8


@dataclass(frozen=True, slots=True)
class WatermarkKey:
    """A key: who has it can read the watermark, and remove it.

    Attributes:
        secret: the key itself; never shown, logged or stored.
        id: what rows and records have of it: 8 hex digits of a hash, or `public`; with a model also `-` and 8 of its.
        model: path of a TorchScript module that replaces troupe's own watermark; empty for none.
    """

    secret: bytes = field(repr=False)
    id: str
    model: str = ""

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

    Where neither is set, it is the public key. `TROUPE_WATERMARK_MODEL` is the model that it is used with.

    Raises:
        SettingsError: both are set, a file cannot be read, the key is too short, or the model is not TorchScript.
    """
    key, model = _load_secret(), os.environ.get(MODEL, "")
    if not model:
        return key
    try:
        digest = file_sha256(Path(model))
    except OSError as error:
        raise SettingsError(f"cannot read the watermark model {model}: {error.strerror}") from None
    if not is_torchscript(Path(model)):
        raise SettingsError(f"the watermark model {model} is not TorchScript")
    return replace(key, id=f"{key.id}-{digest[:_ID_DIGITS]}", model=model)


def _load_secret() -> WatermarkKey:
    text, path = os.environ.get(KEY, ""), os.environ.get(KEY_FILE, "")
    if text and path:
        raise SettingsError(f"{KEY} and {KEY_FILE} are both set; unset one")
    if path:
        try:
            return WatermarkKey.of(Path(path).read_bytes().strip())
        except OSError as error:
            raise SettingsError(f"cannot read the watermark key in {path}: {error.strerror}") from None
    return WatermarkKey.of(text.strip().encode()) if text else PUBLIC_KEY

"""JSON objects that carry the SHA-256 of their own values as `digest`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["seal", "unseal"]


def seal(values: Mapping[str, Any]) -> bytes:
    """Return the values as JSON, with their digest."""
    return json.dumps({**values, "digest": _digest(values)}, indent=2).encode()


def unseal(data: bytes) -> dict[str, Any]:
    """Return the values of a JSON object, `digest` included; one without a digest is of an earlier version.

    Raises:
        ValueError: it is not a JSON object, or its values are not those that were written.
    """
    try:
        values = json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("it is not a JSON object")
    if "digest" in values and values["digest"] != _digest(values):
        raise ValueError("its values are not those that were written")
    return values


def _digest(values: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in values.items() if name != "digest"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""The list of reasons that reviewers choose from when they reject: a file of the store that they edit."""

from __future__ import annotations

import json
from collections.abc import Sequence

from catalogs.store.store import Store
from troupe.errors import SettingsError

__all__ = ["DEFAULT_REASONS", "read_reasons", "write_reasons"]

REASONS_FILE = "review/reasons.json"
"""Key of the list."""
DEFAULT_REASONS = (
    "looks like another person",
    "mouth does not match the sound",
    "flicker",
    "visible edge around the face",
    "eyes",
    "wrong expression",
    "wrong language or sound",
)
"""Reasons of a store without a list of its own."""
MAX_REASONS = 40
MAX_LENGTH = 200


def read_reasons(store: Store) -> list[str]:
    """Return the store's reasons in order.

    Raises:
        StoreError: they cannot be read.
    """
    if not store.exists(REASONS_FILE):
        return list(DEFAULT_REASONS)
    try:
        return _checked(json.loads(store.read(REASONS_FILE))["reasons"])
    except (ValueError, TypeError, KeyError, SettingsError):
        return list(DEFAULT_REASONS)  # edited by hand; the next change writes it again


def write_reasons(store: Store, reasons: Sequence[str]) -> list[str]:
    """Replace the store's reasons, and return them without repetitions.

    Raises:
        SettingsError: a reason is too long or not text, or there are too many.
        StoreError: they cannot be written.
    """
    checked = _checked(reasons)
    store.replace(json.dumps({"reasons": checked}, ensure_ascii=False, indent=2).encode(), REASONS_FILE)
    return checked


def _checked(reasons: Sequence[str]) -> list[str]:
    if isinstance(reasons, str) or not all(isinstance(reason, str) for reason in reasons):
        raise SettingsError("reasons must be a list of texts")
    texts = list(dict.fromkeys(" ".join(reason.split()) for reason in reasons if reason.strip()))
    if len(texts) > MAX_REASONS or any(len(text) > MAX_LENGTH for text in texts):
        raise SettingsError(f"use at most {MAX_REASONS} reasons of at most {MAX_LENGTH} characters")
    return texts

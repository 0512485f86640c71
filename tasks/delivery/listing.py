"""The list of the packages in a folder, `packages.jsonl`: their files, tracks and languages."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

from catalogs.store.store import Store
from troupe.errors import SettingsError

__all__ = ["PACKAGES_FILE", "Entry", "read_packages", "write_packages"]

PACKAGES_FILE = "packages.jsonl"
Entry: TypeAlias = dict[str, Any]
"""A package: `file`, `package`, `key`, `languages`, `default_language`, `subtitles`, `seconds`, `signature`, `signer`,
`poster_file`, `tracks`, `files`, `notes`."""


def read_packages(target: Store) -> list[Entry]:
    """Return the packages of earlier exports.

    Raises:
        SettingsError: the list cannot be read.
    """
    if not target.exists(PACKAGES_FILE):
        return []
    try:
        entries = [json.loads(line) for line in target.read(PACKAGES_FILE).decode().splitlines()]
        return [entry for entry in entries if entry["file"] and entry["key"]]
    except (ValueError, TypeError, KeyError) as error:
        raise SettingsError(
            f"{target.uri(PACKAGES_FILE)} cannot be read ({error}); choose another folder, or remove it"
        ) from error


def write_packages(target: Store, entries: Iterable[Entry]) -> None:
    """Write the list; of two entries for a file, the later one counts."""
    listed = {entry["file"]: entry for entry in entries}
    lines = (json.dumps(listed[file], ensure_ascii=False) for file in sorted(listed))
    target.replace("".join(f"{line}\n" for line in lines).encode(), PACKAGES_FILE)

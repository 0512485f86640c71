"""Fetch the files of a render, compared with what the catalog says about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catalogs.requests.inputs import localise
from catalogs.store import uris
from catalogs.store.renders import find_record
from catalogs.store.store import Store
from troupe.errors import DamagedFile
from troupe.files import file_sha256

__all__ = ["chosen_uri", "fetch_file", "stored_size"]


def chosen_uri(row: dict[str, Any], *, crop: bool) -> str:
    """Return the URI of the video to export: the full picture, unless the square is wanted and there is one."""
    return str((row["crop_uri"] if crop else None) or _main(row))


def fetch_file(store: Store, row: dict[str, Any], recorded: str, folder: Path) -> tuple[Path, str]:
    """Fetch a file of the row's render from the store's current location, which may differ from the recorded one.

    Returns:
        the file and its SHA-256.

    Raises:
        DamagedFile: it is not the one that was rendered.
    """
    uri, name, key = recorded, uris.name(recorded), row["render_key"]
    if key:
        uri = store.uri(f"renders/{key}/{name}")
    expected = row["checksum"]
    if recorded != _main(row):
        record = find_record(store, f"renders/{key}") if key else None
        expected = (record or {}).get("files", {}).get(name, {}).get("sha256")
    path = localise(uri, folder)
    sha256 = file_sha256(path)
    if expected and sha256 != expected:
        record = find_record(store, f"renders/{key}") if key else None
        if record is not None and record["checksum"] == sha256:
            raise DamagedFile(f"{uri} was made again by run {record['run_id']}; export that run, or a later one")
        raise DamagedFile(
            f"{uri} is damaged: it is not the file that the catalog describes; run "
            f"{store.command('store check --deep --repair')}, and then the jobs again"
        )
    return path, sha256


def stored_size(store: Store, row: dict[str, Any], recorded: str) -> int | None:
    """Return the size of a file of the row's render; None if it is not there, or the render has no key."""
    return store.size(f"renders/{row['render_key']}/{uris.name(recorded)}") if row["render_key"] else None


def _main(row: dict[str, Any]) -> str:
    """Return the URI of the video that the row's checksum is of."""
    return str(row["full_uri"] or row["crop_uri"])

"""Records of rendered videos: `render.json` in the folder of a film or a picture, put last; it makes them exist.

A folder is `renders/KEY` for a film and `cache/pictures/KEY` for a picture, the video without sound. A record has the
keys of videos in `outputs`, of the poster in `poster`, and of files of subtitles in `subtitles`, if there are any. It
lists the files with size and SHA-256 under `files`, and carries its own digest as `digest`. Records of earlier versions
have neither; they get both when they are first read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from catalogs.store.sealed import seal, unseal
from catalogs.store.store import Put, Store
from troupe.errors import DamagedFile

__all__ = [
    "PICTURES",
    "Record",
    "check_files",
    "complete_record",
    "discard_render",
    "encode_record",
    "file_keys",
    "find_record",
    "record_key",
]

Record: TypeAlias = dict[str, Any]

PICTURES = "cache/pictures"
"""Folder of folders, each with the files of a picture, that can be rendered again."""

_REQUIRED = ("key", "run_id", "job_id", "outputs", "poster", "checksum", "bytes", "frames", "fps", "face", "gaps")


def record_key(folder: str) -> str:
    """Return the key of the record in the folder of a film or a picture."""
    return f"{folder}/render.json"


def encode_record(facts: Mapping[str, Any], puts: Iterable[Put]) -> bytes:
    """Return the content of a record.

    Args:
        facts: what is known of the render.
        puts: the render's files, the main one first.
    """
    main, *others = puts
    files = {PurePosixPath(put.key).name: {"bytes": put.bytes, "sha256": put.sha256} for put in (main, *others)}
    return seal({**facts, "checksum": main.sha256, "bytes": main.bytes, "files": files})


def file_keys(record: Record) -> list[str]:
    """Return the keys of a render's files, the main one first."""
    others = (*record.get("subtitles", {}).values(), *record.get("manifests", {}).values())
    return [*record["outputs"].values(), record["poster"], *others]


def find_record(store: Store, folder: str) -> Record | None:
    """Return the record in a folder whose files exist with the right sizes, or None if there is no record.

    Raises:
        DamagedFile: the record is unreadable or not what was written, or one of the files is not there.
        StoreError: the store cannot be read.
    """
    key = record_key(folder)
    if not store.exists(key):
        return None
    record = _decode(store.uri(key), store.read(key), PurePosixPath(folder).name)
    if "digest" not in record and not folder.startswith("renders/"):  # no earlier version wrote pictures
        raise DamagedFile(f"{store.uri(key)} is damaged: it has no digest")
    check_files(store, record)
    return record


def check_files(store: Store, record: Record, *, deep: bool = False) -> None:
    """Compare a render's files with its record.

    Args:
        deep: whether to compare their content, not only their sizes.

    Raises:
        DamagedFile: a file is missing or differs.
        StoreError: the store cannot be read.
    """
    for key, size, sha256 in _files(record):
        found = store.size(key)
        if found is None:
            raise DamagedFile(f"{store.uri(key)} is missing")
        if size not in (None, found):
            raise DamagedFile(f"{store.uri(key)} is damaged: it has {found} bytes, not {size}")
        if deep and sha256 is not None and store.sha256(key) != sha256:
            raise DamagedFile(f"{store.uri(key)} is damaged: its SHA-256 is not that of the record")


def complete_record(store: Store, record: Record) -> Record:
    """Add sizes and digests to the record of an earlier version, and store it; return any other record as it is.

    The main file's size and SHA-256 are those of the record, and are kept. The other files are hashed as they are.

    Raises:
        StoreError: a file cannot be read, or the record cannot be written.
    """
    if "digest" in record:
        return record
    files = {}
    for key, size, sha256 in _files(record):
        size = store.size(key) if size is None else size
        files[PurePosixPath(key).name] = {"bytes": size, "sha256": sha256 or store.sha256(key)}
    data = seal({**record, "files": files})
    store.replace(data, record_key(_folder(record)))
    completed: Record = json.loads(data)
    return completed


def discard_render(store: Store, folder: str) -> None:
    """Delete a damaged film or picture, its record first, so that it can be made again.

    Raises:
        StoreError: a file cannot be deleted.
    """
    store.delete(record_key(folder))
    for key in store.list(folder):
        store.delete(key)


def _folder(record: Record) -> str:
    return str(PurePosixPath(record["poster"]).parent)


def _files(record: Record) -> list[tuple[str, int | None, str | None]]:
    """Return key, size and SHA-256 of a render's files; None for what an old record does not know."""
    keys = file_keys(record)
    if "files" not in record:
        main = (keys[0], record["bytes"], record["checksum"])
        return [main, *((key, None, None) for key in keys[1:])]
    files = {name: (entry["bytes"], entry["sha256"]) for name, entry in record["files"].items()}
    return [(key, *files[PurePosixPath(key).name]) for key in keys]


def _decode(uri: str, data: bytes, name: str) -> Record:
    try:
        record: Record = unseal(data)
        if "files" in record and "digest" not in record:
            raise ValueError("digest missing")
        missing = [name for name in _REQUIRED if name not in record]
        if missing or not record["outputs"]:
            raise ValueError(f"{', '.join(missing) or 'outputs'} missing")
        if record["key"] != name:
            raise ValueError(f"it is that of {record['key']}")
        _files(record)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedFile(f"{uri} is damaged: {' '.join(str(error).split())}") from error
    return record

"""Publishing a picture or a film: its files first, its record last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from catalogs.consent.register import is_revoked
from catalogs.retention.forget import is_forgotten
from catalogs.store.renders import Record, discard_render, encode_record, file_keys, find_record, record_key
from catalogs.store.store import Put, Store
from tasks.steps.context import WorkerContext
from tasks.steps.specs import FilmSpec, PictureSpec
from troupe import Job
from troupe.errors import DamagedFile, Withdrawn
from troupe.files import file_sha256

__all__ = ["finished_record", "publish", "refuse_withdrawn", "reusable_record"]


def publish(
    store: Store, spec: PictureSpec | FilmSpec, files: Mapping[str, Path], facts: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Put the files into the spec's folder and then, exclusively, the `render.json`.

    Nothing is overwritten. A file that is there without a record may be another worker's, or damaged: unless it is the
    same, this worker's file gets a name of its own. If two workers finish the same spec, the first record stays.

    Args:
        files: local files by name; `checksum` and `bytes` of the record are the first one's.
        facts: the other values of the record.

    Returns:
        The record, and the number of files put.

    Raises:
        StoreError: a file cannot be put; the picture or film does not exist then, and may be tried again.
    """
    puts = {f"{spec.folder}/{name}": _put(store, path, f"{spec.folder}/{name}") for name, path in files.items()}
    outputs = {name: puts[key].key for name, key in facts["outputs"].items()}
    facts = {**facts, "outputs": outputs, "poster": puts[facts["poster"]].key}
    for kind in ("subtitles", "manifests"):
        if kind in facts:
            facts[kind] = {name: puts[key].key for name, key in facts[kind].items()}
    last = store.put_bytes(encode_record(facts, puts.values()), record_key(spec.folder))
    record = find_record(store, spec.folder)
    if record is None:
        raise DamagedFile(f"{store.uri(record_key(spec.folder))} was deleted while it was being written; run again")
    created = [put.key for put in puts.values() if put.created]
    if not last.created:
        for key in set(created) - set(file_keys(record)):
            store.delete(key)
    return record, len(created) + last.created


def finished_record(store: Store, spec: PictureSpec | FilmSpec, note: Callable[[str], None]) -> Record | None:
    """Return the record of the picture or film; None if it does not exist or is damaged.

    Args:
        note: receives what is damaged.

    Raises:
        StoreError: the store cannot be read.
    """
    try:
        return find_record(store, spec.folder)
    except DamagedFile as error:
        note(f"{error.message}; made again")
        return None


def refuse_withdrawn(store: Store, job: Job) -> None:
    """Refuse a job whose person was forgotten, or whose permission was revoked, since the run was planned.

    Raises:
        Withdrawn: that is so.
        StoreError: the store cannot be read.
    """
    if is_forgotten(store, job.identity) or is_revoked(store, job.consent):
        raise Withdrawn("the person withdrew their consent during the run; remove the job from the request")


def reusable_record(context: WorkerContext, spec: PictureSpec | FilmSpec) -> Record | None:
    """Return the record of the picture or film; what is damaged is noted and deleted, so that it can be made again.

    Raises:
        StoreError: the store cannot be read, or a file cannot be deleted.
    """
    damaged: list[str] = []
    record = finished_record(context.store, spec, damaged.append)
    for text in damaged:
        context.note(text)
        discard_render(context.store, spec.folder)
    return record


def _put(store: Store, path: Path, key: str) -> Put:
    sha256 = file_sha256(path)
    put = store.put(path, key, sha256)
    if put.sha256 == sha256:
        return put
    stem, _, suffix = key.rpartition(".")
    return store.put(path, f"{stem}-{sha256[:12]}.{suffix}", sha256)

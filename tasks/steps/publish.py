"""Finished files become visible: all of them put first, the record that makes the render exist last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catalogs.store.store import Store
from tasks.steps.specs import RenderSpec

__all__ = ["finished_record", "publish"]


def publish(
    store: Store, spec: RenderSpec, files: Mapping[str, Path], facts: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Put the files into the render's folder and then, exclusively, its `render.json`.

    Nothing is overwritten. Of two workers that finish the same render the first one's files stay, and the record says
    what lies in the store, whoever put it there.

    Args:
        files: by name; the first one is what `checksum` and `bytes` are about.
        facts: what the record says beside `checksum` and `bytes`.

    Returns:
        The render's record, and how many files were put.

    Raises:
        StoreError: something could not be put; the render does not exist then, and may be tried again.
    """
    puts = [store.put(path, f"{spec.folder}/{name}") for name, path in files.items()]
    record = {**facts, "checksum": puts[0].sha256, "bytes": puts[0].bytes}
    last = store.put_bytes(json.dumps(record, indent=2).encode(), spec.record)
    if not last.created:
        record = json.loads(store.read(spec.record))
    return record, sum(put.created for put in (*puts, last))


def finished_record(store: Store, spec: RenderSpec) -> dict[str, Any] | None:
    """The record of the render if it exists."""
    if not store.exists(spec.record):
        return None
    record: dict[str, Any] = json.loads(store.read(spec.record))
    return record

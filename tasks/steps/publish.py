"""Publishing a render: its files first, its record last."""

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

    Nothing is overwritten. If two workers finish the same render, the first one's files stay, and the record describes
    the files in the store.

    Args:
        files: local files by name; `checksum` and `bytes` of the record are the first one's.
        facts: the other values of the record.

    Returns:
        The render's record, and the number of files put.

    Raises:
        StoreError: a file cannot be put; the render does not exist then, and may be tried again.
    """
    puts = [store.put(path, f"{spec.folder}/{name}") for name, path in files.items()]
    record = {**facts, "checksum": puts[0].sha256, "bytes": puts[0].bytes}
    last = store.put_bytes(json.dumps(record, indent=2).encode(), spec.record_key)
    if not last.created:
        record = json.loads(store.read(spec.record_key))
    return record, sum(put.created for put in (*puts, last))


def finished_record(store: Store, spec: RenderSpec) -> dict[str, Any] | None:
    """Return the record of the render, or None if the render does not exist."""
    if not store.exists(spec.record_key):
        return None
    record: dict[str, Any] = json.loads(store.read(spec.record_key))
    return record

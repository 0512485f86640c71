"""A store with two videos, for exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalogs.store.store import Store
from catalogs.table.row_buffer import RowBuffer
from tests.catalogs.conftest import row
from troupe.errors import NoFace


def render(store: Store, key: str, *, crop: bool = False) -> dict[str, Any]:
    """Files of a render, and the columns that name them."""
    store.put_bytes(f"full {key}".encode(), f"renders/{key}/full.mp4")
    columns = {"render_key": key, "full_uri": store.uri(f"renders/{key}/full.mp4")}
    if crop:
        store.put_bytes(f"crop {key}".encode(), f"renders/{key}/crop.mp4")
        columns["crop_uri"] = store.uri(f"renders/{key}/crop.mp4")
    return columns


@pytest.fixture
def filled(folder_store: Store) -> Store:
    with RowBuffer(folder_store, "r1") as buffer:
        buffer.append(row("r1", "one", identity="Ana/../Bo", **render(folder_store, "k1", crop=True)))
        buffer.append({**row("r1", "two", identity="Ana", **render(folder_store, "k2")), "language": "fr"})
        buffer.append(row("r1", "bad", "failed", error=NoFace("none")))
    return folder_store


def files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*.mp4"))
        if path.is_file()
    }

"""catalogs.store.existing: a store that is there, and places without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalogs.store.existing import open_existing
from catalogs.store.store import Store
from tests.s3 import BUCKET
from troupe.errors import SettingsError, StoreError


def test_a_store_exists_from_its_first_file_on(store: Store) -> None:
    with pytest.raises(SettingsError, match=f"^there is no troupe store at {store.url}; "):
        open_existing(store.url)
    store.put_bytes(b"other", "notes/todo.txt")
    with pytest.raises(SettingsError, match="no troupe store"):
        open_existing(store.url)
    store.put_bytes(b"{}", "runs/r1/run.json")
    assert open_existing(store.url).names() == ["notes", "runs"]


def test_places_that_hold_no_store(tmp_path: Path, s3: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^the store \S+/file is a file; use a folder"):
        open_existing(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="a file is where a folder should be"):
        open_existing(str(tmp_path / "file" / "store"))
    with pytest.raises(SettingsError, match="no troupe store"):
        open_existing(f"s3://{BUCKET}-that-does-not-exist/troupe")

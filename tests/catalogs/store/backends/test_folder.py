"""Stores in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from catalogs.store.store import Store, open_store
from troupe.errors import StoreError


def test_half_written_files_are_not_listed(folder_store: Store) -> None:
    folder_store.put_bytes(b"x", "cache/k")
    (Path(folder_store.url) / "cache" / ".0123.part").write_bytes(b"half")
    assert folder_store.list() == ["cache/k"]


def test_a_folder_without_hard_links(folder_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    assert folder_store.put_bytes(b"first", "k").created
    assert not folder_store.put_bytes(b"second", "k").created
    assert folder_store.read("k") == b"first"
    assert [entry.name for entry in Path(folder_store.url).iterdir()] == ["k"]


@pytest.mark.parametrize("below", ["store", "deep/store"])
def test_not_writable(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match=r"cannot write to .*a file is where a folder should be"):
        open_store(str(tmp_path / "file" / below)).check()

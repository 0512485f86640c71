"""catalogs.requests.access.persistent_dict."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from catalogs.requests.access.persistent_dict import PersistentDict
from catalogs.store.store import Store, open_store
from troupe.errors import SettingsError, StoreError


def facts_in(store: Store, required: bool = True) -> PersistentDict[str, int]:
    def encode(facts: Mapping[str, int]) -> bytes:
        return json.dumps(dict(facts)).encode()

    return PersistentDict(store, "cache/facts", ".json", encode, json.loads, required=required)


def test_facts_are_remembered_from_run_to_run(store: Store) -> None:
    first = facts_in(store)
    assert first.get("a") is None
    first.add("a", 0)
    first.save("r1")
    first.save("r1")
    (name,) = store.list()
    assert re.fullmatch(r"cache/facts/r1\.sha256-[0-9a-f]{16}\.json", name)
    second = facts_in(store)
    assert second.get("a") == 0
    second.add("b", 2)
    second.save("r1")
    assert len(store.list()) == 2
    assert [facts_in(store).get(key) for key in "ab"] == [0, 2]


def test_a_damaged_file_is_ignored(folder_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for name, data in (("bad", b"{"), ("list", b"[1]"), ("good", b'{"a": 1}')):
        folder_store.put_bytes(data, f"cache/facts/{name}.json")
    assert facts_in(folder_store).get("a") == 1
    assert "bad.json is damaged" in caplog.text
    assert "list.json is damaged" in caplog.text


def test_a_file_with_another_value_is_ignored(folder_store: Store, caplog: pytest.LogCaptureFixture) -> None:
    facts = facts_in(folder_store)
    facts.add("a", 1)
    facts.save("r1")
    (name,) = folder_store.list()
    folder_store.replace(folder_store.read(name).replace(b"1", b"2"), name)
    assert facts_in(folder_store).get("a") is None
    assert "is damaged" in caplog.text


def test_facts_that_could_not_be_written_are_written_later(folder_store: Store) -> None:
    facts = facts_in(folder_store)
    facts.add("a", 1)
    cache = Path(folder_store.url) / "cache"
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text("not a folder")
    with pytest.raises(StoreError):
        facts.save("r1")
    cache.unlink()
    facts.save("r1")
    assert len(folder_store.list("cache/facts")) == 1


def test_a_store_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = open_store(str(tmp_path / "file"))
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError):
        facts_in(store).get("a")
    assert facts_in(store, required=False).get("a") is None
    assert "cannot be read" in caplog.text


def test_invalid_run_ids(folder_store: Store) -> None:
    with pytest.raises(SettingsError, match="run_id is"):
        facts_in(folder_store).save("../x")

"""catalogs.table.audit: a log that cannot be changed unnoticed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from catalogs.store.store import Store
from catalogs.table.audit import append_audit, read_audit, verify_audit

FIRST, SECOND, THIRD = (f"audit/00000000{number}.json" for number in (1, 2, 3))


@pytest.fixture
def log(folder_store: Store) -> Store:
    for number in range(3):
        append_audit(folder_store, "run", {"run_id": f"r{number}"}, ["Ana", ""] if number else [])
    return folder_store


def test_entries_follow_one_another(log: Store) -> None:
    first, second, third = read_audit(log)
    assert [entry.number for entry in (first, second, third)] == [1, 2, 3]
    assert (second.previous, third.previous) == (first.sha256, second.sha256)
    assert [dict(entry.facts) for entry in read_audit(log, identity="  ANA ")] == [{"run_id": "r1"}, {"run_id": "r2"}]
    assert not list(read_audit(log, since=third.at.replace(year=third.at.year + 1)))
    verdict = verify_audit(log)
    assert (verdict.entries, verdict.last, verdict.problems) == (3, third.sha256, ())
    assert "Ana" not in log.read(SECOND).decode()


def test_credentials_are_masked(folder_store: Store) -> None:
    append_audit(folder_store, "export", {"target": "https://user:secret@host/x?sig=secret"})
    assert b"secret" not in folder_store.read(FIRST)


def test_many_processes_add_entries_at_once(folder_store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: append_audit(folder_store, "run", {"run_id": str(n)}), range(40)))
    assert len(folder_store.list("audit")) == 40
    assert not verify_audit(folder_store).problems
    assert {entry.facts["run_id"] for entry in read_audit(folder_store)} == set(map(str, range(40)))


@pytest.mark.parametrize("key", [FIRST, SECOND])
@pytest.mark.parametrize("damage", ["change", "remove", "garbage"])
def test_changes_are_found(log: Store, key: str, damage: str) -> None:
    values = json.loads(log.read(key))
    log.delete(key)
    if damage == "change":
        log.put_bytes(json.dumps(values | {"by": "nobody"}, indent=1).encode(), key)
    elif damage == "garbage":
        log.put_bytes(b"{", key)
    problems = verify_audit(log).problems
    assert problems
    assert any(key in problem or "does not follow" in problem for problem in problems)


def test_entries_that_are_missing_at_the_end_are_found_by_a_hash_that_was_kept(log: Store) -> None:
    kept = verify_audit(log).last
    assert not verify_audit(log, kept.upper()).problems
    log.delete(THIRD)
    assert not verify_audit(log).problems
    (problem,) = verify_audit(log, kept).problems
    assert kept in problem

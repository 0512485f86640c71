"""catalogs.retention.check_people: damage to what a store knows of people and rules."""

from __future__ import annotations

import pytest

from catalogs.consent.permission import Permission
from catalogs.consent.register import add_permissions
from catalogs.retention.check_people import check_people
from catalogs.retention.forget import forget
from catalogs.retention.store_policy import change_policy
from catalogs.store.store import Store


@pytest.fixture
def filled(folder_store: Store) -> Store:
    add_permissions(folder_store, [Permission("R-1", "Ana")])
    forget(folder_store, "Bo", absent_ok=True)
    change_policy(folder_store, {"require_consent": True})
    assert not list(check_people(folder_store, ["Bo"]))
    return folder_store


@pytest.mark.parametrize(
    ("folder", "remedy"),
    [
        ("tombstones", "troupe forget"),
        ("consent/permissions", "add the permission"),
        ("audit", "cannot be repaired"),
        ("policy.toml", "correct"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"{}", b"{"])
def test_damage_is_found(filled: Store, folder: str, remedy: str, content: bytes) -> None:
    key = folder if "." in folder else filled.list(folder)[0]
    filled.replace(content or b"\0", key)
    found = list(check_people(filled, []))
    assert found
    assert all(remedy in advice for _, advice in found)


def test_a_lost_entry_of_the_forget_list_is_named(filled: Store) -> None:
    ((what, remedy),) = check_people(filled, ["Ana", "Bo"])
    assert "'Ana' are forgotten" in what
    assert remedy == f"run {filled.command('forget --identity Ana')}"

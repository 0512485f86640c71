"""catalogs.store.policy and its changes: what every run into a store has to keep to."""

from __future__ import annotations

import pytest

from catalogs.retention.store_policy import change_policy
from catalogs.store.policy import POLICY_FILE, StorePolicy, policy_from_toml, policy_to_toml, read_policy
from catalogs.store.store import Store
from catalogs.table.audit import read_audit
from troupe.errors import SettingsError


def test_a_store_without_a_policy(folder_store: Store) -> None:
    assert read_policy(folder_store) == StorePolicy()


def test_what_is_written_is_read() -> None:
    policy = StorePolicy(("/data", 's3://a"b'), require_consent=True, label='"KI" = généré\n', watermark=True)
    assert policy_from_toml(policy_to_toml(policy), "policy.toml") == policy
    assert policy_from_toml(policy_to_toml(StorePolicy()), "policy.toml") == StorePolicy()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("require_consent = 1", "true or false"),
        ("require_consents = true", "did you mean require_consent"),
        ("label = ''", "label"),
        ("label = true", "label"),
        ("watermark = 'off'", "true or false"),
        ("=", "not TOML"),
        ("x = 1", "use allow_input"),
    ],
)
def test_an_invalid_policy_is_refused(folder_store: Store, content: str, message: str) -> None:
    folder_store.put_bytes(content.encode(), POLICY_FILE)
    with pytest.raises(SettingsError, match=message):
        read_policy(folder_store)


def test_changes_are_in_the_audit_log(folder_store: Store) -> None:
    change_policy(folder_store, {"require_consent": True, "allow_input": ["/data"]})
    assert change_policy(folder_store, {"require_consent": True}) == StorePolicy(("/data",), require_consent=True)
    change_policy(folder_store, {"require_consent": False})
    with pytest.raises(SettingsError, match="true or false"):
        change_policy(folder_store, {"require_consent": "yes", "label": "none"})
    assert read_policy(folder_store) == StorePolicy(("/data",))
    first, second = (entry.facts for entry in read_audit(folder_store))
    assert first == {
        "allow_input": {"before": None, "after": ["/data"]},
        "require_consent": {"before": False, "after": True},
    }
    assert second == {"require_consent": {"before": True, "after": False}}

"""Changes of a store's policy, which the audit log records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from catalogs.review.rules import parse_rules
from catalogs.store.policy import POLICY_FILE, StorePolicy, policy_to_toml, read_policy
from catalogs.store.store import Store
from catalogs.table.audit import append_audit

__all__ = ["change_policy"]


def change_policy(store: Store, changes: Mapping[str, Any]) -> StorePolicy:
    """Change settings of a store's policy, and return it. Its rules of reviews are not applied yet.

    Raises:
        SettingsError: a name, a value or a rule is invalid; nothing is changed.
        StoreError: the store cannot be written.
    """
    before = read_policy(store)
    after = before.changed(changes)
    parse_rules(after.review)
    if after != before:
        # The log first: a change that is not in it must not exist.
        names = [name for name, value in asdict(after).items() if value != getattr(before, name)]
        facts = {name: {"before": getattr(before, name), "after": getattr(after, name)} for name in names}
        append_audit(store, "policy", facts)
        store.replace(policy_to_toml(after), POLICY_FILE)
    return after

"""Check what a store knows of people and rules: forget list, register of permissions, audit log and policy."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from catalogs.consent.register import list_permissions
from catalogs.retention.forget import ForgetList
from catalogs.store.policy import read_policy
from catalogs.store.store import Store
from catalogs.table.audit import verify_audit
from troupe.errors import SettingsError, StoreError

__all__ = ["check_people"]


def check_people(store: Store, forgotten: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield what is damaged and what to do; nothing of it can be repaired from other files of the store.

    Args:
        forgotten: identities whose jobs the catalog has as forgotten, so that the forget list must have them.

    Raises:
        StoreError: the store cannot be read.
    """
    try:
        entries = ForgetList(store)
    except StoreError as error:
        yield error.message, f"run {store.command('forget')} for that person again"
    else:
        for identity in sorted(forgotten):
            if entries.refusal(identity, "") is None:
                what = f"{store.url}: jobs of {identity!r} are forgotten, but the forget list has no entry"
                yield what, f"run {store.command(f'forget --identity {shlex.quote(identity)}')}"
    try:
        list_permissions(store)
    except StoreError as error:
        yield error.message, "add the permission again, or revoke it again"
    for problem in verify_audit(store).problems:
        yield problem, "find out who changed the log; it cannot be repaired"
    try:
        read_policy(store)
    except SettingsError as error:
        yield error.message, "correct the file"

"""catalogs.consent.register: permissions in a store."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from catalogs.consent.permission import Permission
from catalogs.consent.register import (
    ConsentCheck,
    add_permissions,
    find_permission,
    is_revoked,
    list_permissions,
    mark_revoked,
)
from catalogs.store.store import Store
from catalogs.table.audit import read_audit
from troupe import Job
from troupe.errors import NotPermitted, SettingsError, StoreError, Withdrawn

R1, R2 = Permission("R-1", "Ada"), Permission("R-2", "Bo", valid_until=date(2020, 1, 1))


@pytest.fixture
def register(store: Store) -> Store:
    add_permissions(store, [R1, R2])
    return store


def job(consent: str, identity: str = "Ada") -> Job:
    return Job("a", "p.png", "c.mp4", identity=identity, consent=consent)


def test_permissions_are_found_in_every_spelling(register: Store) -> None:
    assert find_permission(register, " r-1 ") == R1
    assert find_permission(register, "r-3") is None
    assert list_permissions(register) == [R1, R2]
    assert list_permissions(register, "BO") == [R2]
    assert not list_permissions(register, "Cy")


def test_required_permissions(register: Store) -> None:
    check = ConsentCheck(register, required=True)
    assert check.refusal(job("r-1")) is None
    for refused, message in (
        (job(""), "consent is empty"),
        (job("R-11"), "did you mean R-1"),
        (job("contract"), "consent add"),
        (job("R-2", "bo"), "expired on 2020-01-01"),
        (job("R-1", "Bo"), "it is Ada's"),
    ):
        error = check.refusal(refused)
        assert type(error) is NotPermitted
        assert message in str(error)


def test_without_the_requirement_objections_are_notes(register: Store) -> None:
    check = ConsentCheck(register, required=False)
    for allowed in (job(""), job("contract of 3 May"), job("R-2", "Bo"), job("R-1")):
        assert check.refusal(allowed) is None
    assert check.note(job("")) is None
    assert check.note(job("R-1")) is None
    assert check.note(job("R-11")) == "consent: R-11 is not in the register; did you mean R-1?"
    assert "contract of 3 May is not in the register; add it with" in str(check.note(job("contract of 3 May")))
    assert "expired" in str(check.note(job("R-2", "Bo")))


def test_references_are_only_noted_where_there_are_permissions(store: Store) -> None:
    assert ConsentCheck(store, required=False).note(job("R-1")) is None
    mark_revoked(store, "R-9", "by letter")  # of a person who was never registered
    assert ConsentCheck(store, required=False).note(job("R-1")) is None


def test_the_register_is_read_once_for_all_unknown_references(register: Store) -> None:
    check = ConsentCheck(register, required=True)
    assert check.note(job("R-11")) is not None
    for key in register.list("consent/permissions"):
        register.replace(b"{}", key)
    assert "did you mean R-2" in str(check.note(job("R-22")))
    assert "did you mean R-2" in str(check.refusal(job("R-22")))


@pytest.mark.parametrize("required", [True, False])
def test_revoked_permissions_always_refuse(register: Store, required: bool) -> None:
    assert not is_revoked(register, "R-1")
    mark_revoked(register, "R-1", "by letter")
    assert is_revoked(register, "r-1")
    revoked = find_permission(register, "r-1")
    assert revoked is not None
    assert (revoked.state(), revoked.reason) == ("revoked", "by letter")
    assert list_permissions(register)[0] == revoked
    assert type(ConsentCheck(register, required=required).refusal(job("r-1"))) is Withdrawn
    with pytest.raises(SettingsError, match="another reference"):
        add_permissions(register, [R1], replace_existing=True)


def test_all_or_none_are_added(register: Store) -> None:
    other = replace(R1, identity="Cy")
    with pytest.raises(SettingsError) as caught:
        add_permissions(register, [Permission("R-3", "Di"), Permission("r-3", "Di"), other])
    assert len(caught.value.problems) == 2
    assert find_permission(register, "R-3") is None
    assert add_permissions(register, [R1]) == 1  # the same again
    assert add_permissions(register, [other], replace_existing=True) == 1
    assert find_permission(register, "R-1") == other
    log = list(read_audit(register))
    assert [entry.facts["reference"] for entry in log] == ["R-1", "R-2", "R-1", "R-1"]
    assert "Cy" not in str(log)


def test_a_face_is_kept_while_the_permission_can_be_used(register: Store) -> None:
    """And never in the audit log, which cannot be changed."""
    add_permissions(register, [Permission("R-3", "Cy", face="QUJD", face_recogniser="e" * 64)])
    found = find_permission(register, "r-3")
    assert found is not None
    assert (found.face, found.face_recogniser) == ("QUJD", "e" * 64)
    assert "QUJD" not in str(list(read_audit(register)))
    assert "not Cy's" in str(ConsentCheck(register, required=True).refusal(job("R-3", "Cy"), "it is not Cy's"))
    assert "not Cy's" in str(ConsentCheck(register, required=False).note(job("R-3", "Cy"), "it is not Cy's"))
    mark_revoked(register, "R-3", "by letter")
    found = find_permission(register, "R-3")
    assert found is not None
    assert found.face == ""
    assert not any(b"QUJD" in register.read(key) for key in register.list("consent"))
    assert "face" not in R1.values()  # as versions without faces write and read them


def test_a_damaged_permission_ends_the_check(register: Store) -> None:
    for key in register.list("consent/permissions"):
        register.replace(b"{}", key)
    with pytest.raises(StoreError, match="damaged"):
        ConsentCheck(register, required=False).refusal(job("R-1"))

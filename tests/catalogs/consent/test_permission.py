"""catalogs.consent.permission: what a permission covers."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from catalogs.consent.permission import Permission, permission_from
from troupe import Job
from troupe.errors import SettingsError

TODAY = date(2026, 11, 30)


def job(**fields: Any) -> Job:
    return Job("a", "p.png", "clips/hello.mp4", identity="Ada", **fields)


@pytest.mark.parametrize(
    ("limits", "fields", "objection"),
    [
        ({}, {}, ""),
        ({"languages": ("fr", "pt-BR")}, {"language": "fr-CA"}, ""),
        ({"languages": ("fr", "pt-BR")}, {"language": "PT-br"}, ""),
        ({"languages": ("pt-BR",)}, {"language": "pt"}, "language is pt"),
        ({"languages": ("fr",)}, {"language": "frr"}, "language is frr"),
        ({"languages": ("fr",)}, {}, "not named"),
        ({"purposes": ("Advertisement",)}, {"tags": {"purpose": "advertisement"}}, ""),
        ({"purposes": ("advertisement",)}, {"tags": {"purpose": "training"}}, "tag purpose is training"),
        ({"territories": ("DE", "FR")}, {}, "tag territory is missing"),
        ({"clips": ("hel*.mp4",)}, {}, ""),
        ({"clips": ("clips/*",)}, {}, ""),
        ({"clips": ("other.mp4",)}, {}, "clips other.mp4"),
        ({"valid_from": TODAY, "valid_until": TODAY}, {}, ""),
        ({"valid_from": date(2026, 12, 1)}, {}, "valid from 2026-12-01"),
        ({"valid_until": date(2026, 11, 29)}, {}, "expired on 2026-11-29"),
        ({"identity": "Bo"}, {}, "it is Bo's"),
    ],
)
def test_what_a_permission_covers(limits: dict[str, Any], fields: dict[str, Any], objection: str) -> None:
    permission = Permission(**{"reference": "r1", "identity": " ADA"} | limits)
    found = permission.objections(job(**fields), TODAY)
    assert len(found) == bool(objection)
    assert objection in "; ".join(found)


def test_all_objections_are_named() -> None:
    permission = Permission("r1", "Bo", languages=("fr",), valid_until=date(2026, 1, 1))
    assert len(permission.objections(job(), TODAY)) == 3


def test_values_are_those_of_a_table() -> None:
    cells = {"reference": " r1 ", "identity": "Ada", "languages": "fr; de;", "valid_until": "2027-01-31", "clips": None}
    permission = permission_from(cells, "row 1")
    assert permission == Permission("r1", "Ada", languages=("fr", "de"), valid_until=date(2027, 1, 31))
    assert permission_from(permission.values(), "x") == permission


def test_all_problems_of_a_row_are_reported() -> None:
    with pytest.raises(SettingsError) as caught:
        permission_from(
            {"identity": " ", "valid_until": "31.1.2027", "valid_from": "2027-02-01", "color": "red"}, "row 3"
        )
    assert [problem.partition(":")[0] for problem in caught.value.problems] == ["row 3"] * 4
    for name in ("color", "valid_until is", "reference is empty", "identity is empty"):
        assert name in str(caught.value)
    with pytest.raises(SettingsError, match="after valid_until"):
        permission_from(
            {"reference": "r", "identity": "a", "valid_from": "2027-02-01", "valid_until": "2027-01-01"}, "row 1"
        )

"""A little of `python -m tests.faults.stores.catalog`."""

from __future__ import annotations

import platform
from uuid import uuid4

import pytest

from tests.faults.stores.catalog import Attack, attack
from tests.s3 import BUCKET


@pytest.mark.long
@pytest.mark.parametrize("kind", ["local", "s3"])
def test_every_row_exactly_once(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In the folder while files are deleted that were replaced a few seconds ago."""
    url, grace = str(tmp_path_factory.mktemp("attack") / "store"), 4.0
    if kind == "s3":
        request.getfixturevalue("s3")
        url, grace = f"s3://{BUCKET}/attack-{uuid4().hex}", 0.0
    elif platform.machine() != "x86_64":
        pytest.skip("libfaketime's wheel is for x86-64")
    outcome = attack(Attack(url, writers=2, runs=2, rows=8, readers=1, kill_every=0.2, grace=grace, limit=120))
    assert (outcome.rows, outcome.missing, outcome.twice) == (32, 0, 0)
    assert outcome.wrong == []
    assert outcome.kills.total() > 0
    assert (outcome.deleted > 0) == (grace > 0)

"""Every test sees only the processes that it started itself."""

from __future__ import annotations

import pytest

from tests.clips import remember_children


@pytest.fixture(autouse=True)
def _count_from_here() -> None:
    remember_children()

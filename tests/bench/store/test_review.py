"""bench.store.review: pages of a small catalog."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.store.review import LISTINGS, fill, page_through


@pytest.mark.long
def test_a_small_catalog(tmp_path: Path) -> None:
    fill(str(tmp_path), commits=2, rows=100)
    seconds, memory = page_through(str(tmp_path), pages=2)
    assert {name: len(taken) for name, taken in seconds.items()} == dict.fromkeys(LISTINGS, 2)
    assert len(memory) == 2 * len(LISTINGS) + 1

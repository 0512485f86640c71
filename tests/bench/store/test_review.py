"""bench.store.review: pages of a small catalog."""

from __future__ import annotations

from pathlib import Path

from bench.store.catalog import fill
from bench.store.review import LISTINGS, page_through


def test_a_small_catalog(tmp_path: Path) -> None:
    fill(str(tmp_path), commits=2, rows=100)
    found = page_through(str(tmp_path), pages=2)
    assert {name: len(seconds) for name, seconds in found["seconds"].items()} == dict.fromkeys(LISTINGS, 2)
    assert 0 <= found["growth_bytes"] < found["first_bytes"]

"""Fixtures for every room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real media and real face networks, for tests only."""
    folder = os.environ.get("TROUPE_SHARED")
    if not folder:
        pytest.skip("TROUPE_SHARED is not set: no real pictures, clips and face networks")
    path = Path(folder).resolve()
    assert (path / "media").is_dir(), f"TROUPE_SHARED is {path}, which holds no media"
    assert (path / "weights").is_dir(), f"TROUPE_SHARED is {path}, which holds no weights"
    return path

"""The sandbox of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tasks.media.sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox, whose child processes all tests share."""
    with Sandbox() as found:
        yield found

"""A sample of `tests.faults.web.webhooks`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.web.webhooks import webhooks

pytestmark = pytest.mark.long


def test_every_event_arrives_although_receiver_and_senders_are_killed(tmp_path: Path) -> None:
    assert "all accepted" in webhooks(tmp_path, seed=1, events=60)

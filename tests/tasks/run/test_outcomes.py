"""How a run's jobs end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tasks.run.outcomes import _stage_seconds
from tasks.steps.specs import Done, PictureDone


def test_all_time_in_no_stage_is_spent_in_the_queue() -> None:
    """Also the time in which a picture gave way to others on the GPU."""
    parts = [Done(reused=False, seconds={"detect": 1.0}), PictureDone(reused=False, seconds={"vae": 2.0, "queue": 4.0})]
    seconds = _stage_seconds(parts, datetime.now(UTC) - timedelta(seconds=100))
    assert seconds == {"detect": 1.0, "vae": 2.0, "queue": pytest.approx(97, abs=2)}

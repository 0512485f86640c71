"""A little of `python -m tests.faults.web.review`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.web.review import attack


@pytest.mark.slow
def test_the_review_server_survives_attacks(tmp_path: Path) -> None:
    report = attack(tmp_path, seconds=1, gone=0)
    assert (report.leaked, report.decisions) == (0, 0)
    assert max(report.recovered.values()) < 20
    assert report.gone[0] == 503
    assert report.stop < 5

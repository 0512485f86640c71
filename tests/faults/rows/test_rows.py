"""A sample of `python -m tests.faults.rows`, which runs a hundred seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.rows.trial import trials

pytestmark = pytest.mark.long


def test_a_good_job_is_done_whatever_rows_are_beside_it(tmp_path: Path) -> None:
    with trials(tmp_path) as found:
        for seed in (0, 1):
            found.run(seed)
    assert found.wrong == []
    assert {"bad_job", "done", "missing_input"} <= set(found.kinds)

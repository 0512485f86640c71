"""A sample of `python -m tests.faults.rows`, which runs a hundred seeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long


def test_a_good_job_is_done_whatever_rows_are_beside_it() -> None:
    """In a process of its own, whose peak memory is that of the trial."""
    words = [sys.executable, "-m", "tests.faults.rows", "--seeds", "0-1"]
    ended = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for kind in ("bad_job", "done", "missing_input"):
        assert kind in ended.stdout, ended.stdout

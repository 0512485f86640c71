"""bench.models.training at its smallest: a few steps, a stop and a kill, two workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.models.training import main


@pytest.mark.slow  # three trainings, nearly three minutes; test_ray_train has the two workers in CI
def test_stops_and_workers_change_nothing(tmp_path: Path) -> None:
    out = tmp_path / "training.json"
    main(["--steps", "12", "--stops", "1", "--json", str(out)])
    found = json.loads(out.read_text())
    assert found["figures"]["at one go"]["steps"] == 12
    assert found["figures"]["stopped"] | {"stops": 2, "losses_that_differ": 0} == found["figures"]["stopped"]
    assert found["checks"]["losses_that_differ_after_stops"]["ok"]
    assert found["checks"]["losses_that_differ_with_two_workers"]["ok"]

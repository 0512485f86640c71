"""The benchmark of settings that save work."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.models import savings
from bench.models.savings import SAVINGS, measure
from bench.support.report import Case


def case(work: float, psnr: float) -> Case:
    return Case({"tflop_per_frame": work, "psnr_to_10_steps_db": psnr})


def test_the_best_of_the_cheap_settings_counts() -> None:
    checks = savings._checks(
        {"10 steps": case(30, 99), "close": case(13, 60), "half": case(12, 41), "less": case(5, 30)}
    )
    assert checks["psnr_to_10_steps_with_two_fifths_of_the_work_db"].value == 41
    assert checks["psnr_to_10_steps_with_two_fifths_of_the_work_db"].ok
    assert not checks["settings"].ok


@pytest.mark.slow
def test_one_short_clip(tmp_path: Path) -> None:
    findings = measure(savings.parser().parse_args(["--clips", "1", "--frames", "4", "--keep", str(tmp_path)]))
    assert list(findings.cases) == list(SAVINGS)
    assert findings.cases["exact"].figures["psnr_to_exact_db"] == 99
    assert findings.cases["5 steps"].number("psnr_to_exact_db") < 60
    assert findings.checks["settings"].ok

"""The benchmark of the preset `fast`."""

from __future__ import annotations

from bench.models import distilled
from bench.support.judge import TRAITS
from bench.support.report import Case


def case(psnr: float, correlation: float, flicker: float) -> Case:
    own = {"evaluations_per_own_frame": 4.0, "least_tflop_per_frame": 7.59, "found_share": 0.9}
    return Case(
        {"psnr_to_exact_db": psnr, "flicker": flicker, **dict.fromkeys(TRAITS, correlation), **own},
    )


def test_checks() -> None:
    exact, undistilled = case(99, 0.9, 4.0), case(30, 0.8, 4.5)
    checks = distilled._checks({"exact": exact, "undistilled": undistilled, "fast": case(33.5, 0.89, 3.9)})
    assert all(check.ok for check in checks.values())
    checks = distilled._checks({"exact": exact, "undistilled": undistilled, "fast": case(32.5, 0.87, 4.1)})
    wrong = [name for name, check in checks.items() if not check.ok]
    assert wrong == ["gain_over_undistilled_db", "correlation_lost", "flicker"]

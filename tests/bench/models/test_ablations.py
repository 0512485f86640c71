"""The benchmark of the miniature's parts: paired differences, and one short clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.models import ablations
from bench.models.ablations import Acted, measure, paired_losses
from bench.support.reenactment import ABLATIONS


def acted(psnr: float, read: list[float]) -> Acted:
    true = np.array([0.0, 0.5, 1.0], np.float32)
    return Acted({"psnr_db": psnr}, {"mouth": (np.array(read, np.float32), true)}, ("mouth",))


def test_a_loss_has_the_standard_error_of_the_mean_of_the_differences() -> None:
    full, less = [23.0, 25.0, 21.0, 24.0], [22.0, 24.5, 20.5, 22.0]
    found = paired_losses(
        [acted(psnr, [0.0, 0.5, 1.0]) for psnr in full], [acted(psnr, [0.0, 0.25, 0.5]) for psnr in less]
    )
    differences = np.subtract(full, less)
    assert found["psnr_db_lost"] == pytest.approx(differences.mean())
    assert found["psnr_db_error"] == pytest.approx(differences.std(ddof=1) / 2)
    assert (found["mouth_lost"], found["mouth_error"]) == pytest.approx((0, 0), abs=1e-6), "correlations are perfect"
    assert (found["mouth_reach_lost"], found["mouth_reach_error"]) == pytest.approx((0.5, 0), abs=1e-6)


def test_a_part_that_changes_nothing_earns_no_place() -> None:
    same = [acted(psnr, [0.0, 0.5, 1.0]) for psnr in (23.0, 25.0)]
    case = ablations.Case(paired_losses(same, same))
    assert not ablations._check(case, "psnr_db").ok
    better = [acted(psnr, [0.0, 0.5, 1.0]) for psnr in (24.0, 26.5)]
    check = ablations._check(ablations.Case(paired_losses(better, same)), "psnr_db")
    assert (check.ok, check.value) == (True, pytest.approx(1.25 / 0.25))


@pytest.mark.slow
def test_two_short_clips(tmp_path: Path) -> None:
    words = ["--clips", "2", "--frames", "4", "--keep", str(tmp_path)]
    findings = measure(ablations.parser().parse_args(words))
    assert list(findings.cases) == ["full model", *ABLATIONS, "voice off"]
    assert len(findings.checks) == 5
    assert findings.cases["motion off"].number("psnr_db_lost") > 0
    assert len(list((tmp_path / "sketch-4").iterdir())) == 22
    assert measure(ablations.parser().parse_args(words)) == findings

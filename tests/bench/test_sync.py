"""The benchmark of the sync check, on one short clip."""

from __future__ import annotations

import pytest

from bench import sync
from bench.sync import measure


@pytest.mark.slow
def test_one_render() -> None:
    arguments = ["--pictures", "1", "--voices", "1", "--frames", "41", "--stretched", "0"]
    findings = measure(sync.parser().parse_args(arguments))
    assert findings.cases["pairs"].number("pairs") == 1
    assert findings.cases["offsets"].number("renders") == 1
    assert set(findings.checks) == {"renders_with_all_offsets_found_share", "true_against_exchanged_auc"}

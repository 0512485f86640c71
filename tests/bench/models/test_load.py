"""The benchmark of loading, on a tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.models import load
from bench.models.load import measure, write_both
from bench.support.random_weights import TINY
from models.weights import inspect_weights


@pytest.mark.long
def test_tiny() -> None:
    findings = measure(load.parser().parse_args(["--model", "tiny", "--runs", "1", "--device", "cpu"]))
    old, new = findings.cases["pth"], findings.cases["safetensors"]
    assert old.figures["weights_bytes"] == new.figures["weights_bytes"]
    assert new.number("weights_bytes") > 1e6
    for case in (old, new):
        assert case.number("peak_memory_bytes") >= case.number("memory_after_load_bytes") > 0
        assert len(case.samples["load_seconds"]) == len(case.samples["read_seconds"]) == 1
        assert case.figures["gpu_peak_bytes"] is None


def test_directories_differ_in_format_only(tmp_path: Path) -> None:
    directories = write_both(tmp_path, TINY)
    reports = {form: inspect_weights(directory) for form, directory in directories.items()}
    assert all(not report.problems for report in reports["safetensors"] if report.tensors)
    sizes = [[(report.name, report.parameters) for report in found] for found in reports.values()]
    assert sizes[0] == sizes[1]
    assert not list(directories["safetensors"].rglob("*.pth"))
    assert list(directories["pth"].rglob("*.pth"))

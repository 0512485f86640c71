"""The command for a machine with a GPU, on a tiny model on the CPU."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bench.gpu import __main__ as command
from bench.gpu.sections import SECTIONS, NotRun, Setup
from bench.support.report import Case, Check, Findings, main
from troupe.errors import SettingsError

NO_GPU = ["--device", "cpu", "--config", "tiny"]


def without_renders(_: Setup) -> Findings:
    return Findings({"a | b": Case({"seconds": 1.5, "peak_bytes": 2_000_000})}, {"limit": Check.at_most(3, 2)})


def failing(_: Setup) -> Findings:
    raise RuntimeError("an illegal memory access")


def impossible(_: Setup) -> Findings:
    raise NotRun("there are fewer than two GPUs")


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced: dict[str, Callable[[Setup], Findings]] = {
        "speed": failing,
        "memory": without_renders,
        "processes": impossible,
    }
    for name in SECTIONS:
        monkeypatch.setitem(command.SECTIONS, name, replaced.get(name, impossible))  # type: ignore[arg-type]


@pytest.mark.usefixtures("sections")
def test_a_failing_section_does_not_cost_the_others(tmp_path: Path) -> None:
    page, numbers = tmp_path / "gpu.md", tmp_path / "gpu.json"
    main("gpu", command.parser(), command.measure, [*NO_GPU, "--page", str(page), "--json", str(numbers)])
    lines = page.read_text().splitlines()
    assert "Failed: RuntimeError: an illegal memory access." in lines
    assert "Not run: there are fewer than two GPUs." in lines
    assert "| a \\| b | 1.5 | 2 MB |" in lines
    assert "| limit | 3 | 2 | missed |" in lines
    document = json.loads(numbers.read_text())
    assert document["figures"]["speed"] == {"result": "failed: RuntimeError: an illegal memory access"}
    assert document["checks"] == {"memory: limit": {"value": 3, "target": 2, "ok": False}}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_told_before_anything_is_written(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    with pytest.raises(SettingsError, match="--device cpu --config tiny"):
        command.measure(command.parser().parse_args(["--page", str(page)]))
    assert not page.exists()


@pytest.mark.slow
def test_tiny(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    options = [*NO_GPU, "--frames", "7", "--steps", "2", "--page", str(page)]
    findings = command.measure(command.parser().parse_args(options))
    assert findings.cases["number-types: bfloat16"].number("psnr_to_float32") > 25
    assert findings.cases["speed: float32, 7 frames"].number("frames_per_second") > 0
    assert findings.cases["memory"].figures == {"result": "not run: a CPU has no GPU memory"}
    assert "## Number types" in page.read_text()

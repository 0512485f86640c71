"""bench.support.report: tables and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import pytest

from bench.support.report import Case, Check, Findings, main, make_parser, positive_int
from troupe.errors import SettingsError

FINDINGS = Findings(
    {
        "short": Case({"seconds": 1.25, "peak_bytes": 1_500_000, "gpu": None}, {"seconds": [1.5, 1.25, 1.0]}),
        "long": Case({"seconds": 12345.6, "matrix_share": 0.5}),
    },
    {"seconds": Check.at_most(1.25, 2), "frames_per_second": Check.at_least(1, 3.5)},
)

NOISY = """
import os
from bench.support.report import Case, Check, Findings, main, make_parser

def measure(chosen):
    print("a library speaks")
    os.write(1, b"and so does a native one")
    return Findings({"only": Case({"seconds": 1.0})}, {})

main("noisy", make_parser("Speaks."), measure)
"""


def measure(_: Namespace) -> Findings:
    return FINDINGS


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    main("some", make_parser("Measures."), measure, [])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "short long" in lines
    assert "seconds 1.25 12,346" in lines
    assert "peak 1.5 MB" in lines
    assert "matrix share 50.0%" in lines
    assert "seconds 1.25 2 ok" in lines
    assert "frames per second 1 3.5 missed" in lines


def test_cases_that_do_not_fit_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    some, others = ({f"{kind}{n}": Case({kind: float(n)}) for n in range(4)} for kind in "ab")
    main("some", make_parser("Measures."), lambda _: Findings({**some, **others}, {}), [])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines.index("a0 a1 a2 a3") < lines.index("a 0 1 2 3") < lines.index("b0 b1 b2 b3") < lines.index("b 0 1 2 3")


def test_json_beside_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser("Measures.")
    parser.add_argument("--runs", type=int, default=3)
    main("some", parser, measure, ["--json", str(tmp_path / "out.json"), "--runs", "7"])
    document = json.loads((tmp_path / "out.json").read_text())
    assert "seconds" in capsys.readouterr().out
    assert list(document) == ["benchmark", "arguments", "measured_at", "machine", "figures", "samples", "checks"]
    assert document["benchmark"] == "some"
    assert document["arguments"] == {"runs": 7}
    assert document["machine"]["cores"] >= 1
    assert document["figures"]["short"] == {"seconds": 1.25, "peak_bytes": 1_500_000, "gpu": None}
    assert document["samples"] == {"short": {"seconds": [1.5, 1.25, 1.0]}, "long": {}}
    assert document["checks"] == {
        "seconds": {"value": 1.25, "target": 2, "ok": True},
        "frames_per_second": {"value": 1, "target": 3.5, "ok": False},
    }


def test_json_alone_on_standard_output() -> None:
    command = [sys.executable, "-c", NOISY, "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout)["figures"] == {"only": {"seconds": 1.0}}
    for other in ("a library speaks", "and so does a native one", "seconds"):
        assert other in done.stderr


def test_invalid_arguments_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(_: Namespace) -> Findings:
        raise SettingsError("there is no such device")

    with pytest.raises(SystemExit) as stop:
        main("some", make_parser("Measures."), refuse, [])
    assert stop.value.code == 2
    assert "there is no such device" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "least", "most", "exactly"), [(1, False, True, False), (2, True, True, True), (3, True, False, False)]
)
def test_checks(value: float, least: bool, most: bool, exactly: bool) -> None:
    assert Check.at_least(value, 2).ok is least
    assert Check.at_most(value, 2).ok is most
    assert Check.exactly(value, 2).ok is exactly


def test_a_missing_folder_is_reported_before_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(_: Namespace) -> Findings:
        raise AssertionError("it worked all the same")

    with pytest.raises(SystemExit):
        main("some", make_parser("Measures."), work, ["--json", str(tmp_path / "none" / "out.json")])
    assert "there is no folder" in capsys.readouterr().err


def test_paths_among_the_arguments(tmp_path: Path) -> None:
    options = make_parser("Measures.")
    options.add_argument("clips", type=Path, nargs="*")
    main("some", options, lambda _: Findings({}, {}), ["a.mp4", "--json", str(tmp_path / "out.json")])
    assert json.loads((tmp_path / "out.json").read_text())["arguments"] == {"clips": ["a.mp4"]}


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_positive_int(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        positive_int(text)
    assert positive_int("12") == 12

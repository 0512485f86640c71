"""catalogs.requests.columns: values of cells, by way of jobs files."""

from __future__ import annotations

from fractions import Fraction

import pytest

from catalogs.requests.columns import parse_cells
from tests.catalogs.requests.conftest import parse, problems


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", "25"),
        ("29.97", "30000/1001"),
        ("23.976", "24000/1001"),
        ("59.94", "60000/1001"),
        ("30000/1001", "30000/1001"),
        ("12.5", "25/2"),
        ("30", "30"),
    ],
)
def test_rates_are_exact(text: str, rate: str) -> None:
    (job,) = parse(f"portrait,driving,fps\na,b,{text}\n")
    assert job.fps == Fraction(rate)


def test_invalid_choices_and_rates() -> None:
    found = problems("portrait,driving,fps,gaps,crop,blend,quality,master\na,b,0.5,bridge,folow,colour,52,avi\n")
    assert [problem.split("; ")[-1] for problem in found] == [
        "use 1 to 240 frames per second, such as 25, 29.97 or 30000/1001",
        "use hold, cut or fail",
        "did you mean 'follow'?",
        "use seamless or reference",
        "the default is 18",
        "use none, lossless or prores",
    ]


@pytest.mark.parametrize("fps", ["1e999999999", "1e9", "1/0", "9" * 5000, "inf", "1/" + "9" * 5000])
def test_numbers_are_checked_before_they_are_computed(fps: str) -> None:
    found: list[str] = []
    assert parse_cells({"fps": fps}, "/data", "row 1", found) == {}
    assert "use 1 to 240 frames per second" in found[0]


def test_long_cells() -> None:
    found: list[str] = []
    assert parse_cells({"portrait": "p" * 40_000, "tags": "t=" + "x" * 40_000}, "/data", "row 1", found) == {}
    assert [problem.partition("; ")[2] for problem in found] == ["use at most 32767"] * 2

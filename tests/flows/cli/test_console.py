"""Output of the command line."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from flows.cli import console as module
from flows.cli.console import human_size, print_json, print_table


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_950, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (6_303_000_000, "6.3 GB"),
        (2_500_000_000_000, "2.5 TB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert human_size(size) == text


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_human_size_preserves_order(a: int, b: int) -> None:
    def read(text: str) -> float:
        value, unit = text.split()
        return float(value) * 1000 ** ("B", "kB", "MB", "GB", "TB").index(unit)

    small, large = sorted((a, b))
    assert read(human_size(small)) <= read(human_size(large))


def test_table_in_a_pipe_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("a", "b"), [("x\ty\nz", "[red]1[/red]"), ("", "2")])
    assert capsys.readouterr().out == "a\tb\nx y z\t[red]1[/red]\n\t2\n"


def test_table_on_a_terminal_has_colours_but_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr(
        module, "console", Console(file=file, force_terminal=True, color_system="standard", width=60, markup=False)
    )
    print_table(("state", "n"), [("bad", "[1]")], right=("n",))
    assert "\x1b[1;31mbad" in file.getvalue()
    assert "[1]" in file.getvalue()


def test_cells_of_a_table_on_a_terminal_can_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    file, path = io.StringIO(), "/store/" + "renders/" * 20 + "full.mp4"
    monkeypatch.setattr(
        module, "console", Console(file=file, force_terminal=True, color_system=None, width=40, soft_wrap=True)
    )
    rows = [("ada", "", "7", path), ("\u5f20\u4f1f", "", "12", "no face\nfound")]
    print_table(("job", "language", "frames", "video or error"), rows, right=("frames",), optional=("language",))
    assert file.getvalue().splitlines() == [
        "job   frames  video or error",
        f"ada        7  {path}",
        "\u5f20\u4f1f      12  no face found",
    ]


def test_json_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Ä", "size": 1})
    out = capsys.readouterr().out
    assert json.loads(out) == {"name": "Ä", "size": 1}
    assert "Ä" in out

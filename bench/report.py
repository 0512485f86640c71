"""How a benchmark says what it found: a table for people, JSON for programs.

The JSON is one object:

    benchmark    its name
    arguments    what it was called with
    measured_at  UTC
    machine      what it ran on, see `bench.machine`
    figures      case -> name -> value; a name ends in its unit
    samples      case -> name -> the single measurements behind a median
    checks       name -> {value, target, ok}
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.machine import describe
from troupe.errors import TroupeError

__all__ = ["Case", "Check", "Findings", "arguments", "main", "positive", "tell"]

Value: TypeAlias = float | int | str | bool | None
WIDTH = 120
"""Of the table where there is no terminal."""
SIDE_BY_SIDE = 7
"""Cases that fit into one table; of more, those that follow each other with the same figures have one of their own."""


@dataclass(frozen=True)
class Check:
    """One thing that the project promises.

    Attributes:
        value: what was found.
        target: what was promised.
        ok: whether it holds; says whether the target is the most or the least.
    """

    value: float
    target: float
    ok: bool

    @classmethod
    def at_most(cls, value: float, target: float) -> Check:
        """`value` must not be more than `target`."""
        return cls(value, target, value <= target)

    @classmethod
    def at_least(cls, value: float, target: float) -> Check:
        """`value` must not be less than `target`."""
        return cls(value, target, value >= target)

    @classmethod
    def exactly(cls, value: float, target: float) -> Check:
        """`value` must be `target`."""
        return cls(value, target, value == target)


@dataclass(frozen=True)
class Case:
    """One of the things that a benchmark holds against each other.

    Attributes:
        figures: name -> value; a name ends in its unit (`_bytes`, `_seconds`, `_share`), unless it is a plain count.
        samples: name -> single measurements, in the order in which they were made.
    """

    figures: Mapping[str, Value]
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """A figure that is a number."""
        value = self.figures[name]
        assert isinstance(value, int | float)
        return value


@dataclass(frozen=True)
class Findings:
    """All that a benchmark found.

    Attributes:
        cases: by name.
        checks: by name.
    """

    cases: Mapping[str, Case]
    checks: Mapping[str, Check]


def arguments(description: str | None) -> ArgumentParser:
    """A parser with what all benchmarks take."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--json", metavar="FILE", help="write JSON too; `-` is standard output, then nothing else there"
    )
    return parser


def positive(text: str) -> int:
    """A number of things, at least one, for `add_argument(type=...)`."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def main(
    benchmark: str, parser: ArgumentParser, measure: Callable[[Namespace], Findings], argv: Sequence[str] | None = None
) -> None:
    """Measure and report.

    Exits with 2 where the arguments ask for what cannot be. A check that does not hold is a finding, not a failure.

    Args:
        measure: does the work, for the parsed arguments.
        argv: the command line; this process' own if not given.
    """
    chosen = parser.parse_args(argv)
    alone = chosen.json == "-"
    if chosen.json and not alone and not Path(chosen.json).absolute().parent.is_dir():
        parser.error(f"there is no folder for {chosen.json}")  # better now than after an hour
    document: dict[str, Any] = {
        "benchmark": benchmark,
        "arguments": {name: value for name, value in vars(chosen).items() if name != "json"},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(),
    }
    with _standard_output(alone) as out:
        try:
            findings = measure(chosen)
        except TroupeError as error:
            parser.error(str(error))
        document["figures"] = {name: dict(case.figures) for name, case in findings.cases.items()}
        document["samples"] = {name: dict(case.samples) for name, case in findings.cases.items()}
        document["checks"] = {name: asdict(check) for name, check in findings.checks.items()}
        _print_tables(document, sys.stderr if alone else sys.stdout)
        if chosen.json:
            text = json.dumps(document, indent=2, default=str) + "\n"  # paths among the arguments
            if alone:
                out.write(text)
            else:
                Path(chosen.json).write_text(text)


def tell(text: str) -> None:
    """Say on standard error what is going on."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _standard_output(alone: bool) -> Iterator[TextIO]:
    """Standard output; if it is to be had `alone`, all that others print there, libraries too, goes to the error's."""
    if not alone:
        yield sys.stdout
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(kept), "w") as out:
            yield out
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _print_tables(document: Mapping[str, Any], file: TextIO) -> None:
    console = Console(file=file, highlight=False, markup=False, width=None if file.isatty() else WIDTH)
    known = {name: value for name, value in document["machine"].items() if value is not None}
    console.print(", ".join(f"{_spoken(name)} {_shown(name, value)}" for name, value in known.items()))
    cases: Mapping[str, Mapping[str, Value]] = document["figures"]
    alike = groupby(cases, lambda name: tuple(cases[name]) if len(cases) > SIDE_BY_SIDE else ())
    for group in [list(names) for _, names in alike] or [[]]:
        table = Table("", *group, box=SIMPLE_HEAD, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for name in dict.fromkeys(name for case in group for name in cases[case]):
            table.add_row(_spoken(name), *(_shown(name, cases[case].get(name)) for case in group))
        console.print(table)
    if document["checks"]:
        table = Table("check", "value", "target", "", box=SIMPLE_HEAD, pad_edge=False)
        for name, check in document["checks"].items():
            verdict = "ok" if check["ok"] else "missed"
            table.add_row(_spoken(name), _shown(name, check["value"]), _shown(name, check["target"]), verdict)
        console.print(table)


def _spoken(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")


def _shown(name: str, value: Value) -> str:
    """A value in the unit that its name ends in, with as many digits as a measurement deserves."""
    if value is None:
        return ""
    if isinstance(value, str | bool):
        return str(value)
    if name.endswith("_share"):
        return f"{value:.1%}"
    if name.endswith("_bytes"):
        return _size(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _size(size: float) -> str:
    """Bytes in the unit that leaves few digits."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while abs(size) >= 999.5 and power < len(units) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.3g} {units[power]}" if power else f"{size:.0f} B"

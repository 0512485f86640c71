"""Reports of benchmarks: a table for people, JSON for programs.

The JSON is one object:

    benchmark    its name
    arguments    its command-line options
    measured_at  UTC
    machine      description of the machine, see `bench.support.machine`
    figures      case -> name -> value; a name ends in its unit
    samples      case -> name -> the individual measurements behind a median
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

from bench.support.machine import describe
from troupe.errors import TroupeError

__all__ = ["Case", "Check", "Findings", "format_value", "label", "log", "main", "make_parser", "positive_int"]

Value: TypeAlias = float | int | str | bool | None
WIDTH = 120
"""Characters per line of the table where standard output is not a terminal."""
MAX_COLUMNS = 7
"""Cases that fit into one table. Of more, each group of consecutive cases with the same figures gets its own."""


@dataclass(frozen=True)
class Check:
    """A measured value against the project's target.

    Attributes:
        value: measured value.
        target: target value.
        ok: whether the target is met.
    """

    value: float
    target: float
    ok: bool

    @classmethod
    def at_most(cls, value: float, target: float) -> Check:
        """Require `value` <= `target`."""
        return cls(value, target, value <= target)

    @classmethod
    def at_least(cls, value: float, target: float) -> Check:
        """Require `value` >= `target`."""
        return cls(value, target, value >= target)

    @classmethod
    def exactly(cls, value: float, target: float) -> Check:
        """Require `value` == `target`."""
        return cls(value, target, value == target)


@dataclass(frozen=True)
class Case:
    """One of the cases that a benchmark compares.

    Attributes:
        figures: name -> value; a name ends in its unit (`_bytes`, `_seconds`, `_share`), unless it is a plain count.
        samples: name -> individual measurements, in the order in which they were made.
    """

    figures: Mapping[str, Value]
    samples: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """Return a figure that is a number."""
        value = self.figures[name]
        assert isinstance(value, int | float)
        return value


@dataclass(frozen=True)
class Findings:
    """Results of a benchmark.

    Attributes:
        cases: by name.
        checks: by name.
    """

    cases: Mapping[str, Case]
    checks: Mapping[str, Check]


def make_parser(description: str | None) -> ArgumentParser:
    """Return a parser with the options that all benchmarks share."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write JSON; `-` writes it to standard output, and everything else to standard error",
    )
    return parser


def positive_int(text: str) -> int:
    """Parse a positive integer, for `add_argument(type=...)`."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def main(
    benchmark: str, parser: ArgumentParser, measure: Callable[[Namespace], Findings], argv: Sequence[str] | None = None
) -> None:
    """Run a benchmark and report its results.

    Exits with 2 on invalid arguments. A missed target is a result, not a failure.

    Args:
        measure: runs the benchmark for the parsed arguments.
        argv: command line; by default this process' own.
    """
    args = parser.parse_args(argv)
    json_only = args.json == "-"
    if args.json and not json_only and not Path(args.json).absolute().parent.is_dir():
        parser.error(f"there is no folder for {args.json}")  # before measuring for an hour
    document: dict[str, Any] = {
        "benchmark": benchmark,
        "arguments": {name: value for name, value in vars(args).items() if name != "json"},
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe(),
    }
    with _standard_output(json_only) as out:
        try:
            findings = measure(args)
        except TroupeError as error:
            parser.error(str(error))
        document["figures"] = {name: dict(case.figures) for name, case in findings.cases.items()}
        document["samples"] = {name: dict(case.samples) for name, case in findings.cases.items()}
        document["checks"] = {name: asdict(check) for name, check in findings.checks.items()}
        _print_tables(document, sys.stderr if json_only else sys.stdout)
        if args.json:
            text = json.dumps(document, indent=2, default=str) + "\n"  # arguments may be paths
            if json_only:
                out.write(text)
            else:
                Path(args.json).write_text(text)


def log(message: str) -> None:
    """Print progress to standard error."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def _standard_output(json_only: bool) -> Iterator[TextIO]:
    """Yield standard output. With `json_only`, other output to it, even a library's, goes to standard error instead."""
    if not json_only:
        yield sys.stdout
        return
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(saved), "w") as out:
            yield out
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def _print_tables(document: Mapping[str, Any], file: TextIO) -> None:
    console = Console(file=file, highlight=False, markup=False, width=None if file.isatty() else WIDTH)
    known = {name: value for name, value in document["machine"].items() if value is not None}
    console.print(", ".join(f"{label(name)} {format_value(name, value)}" for name, value in known.items()))
    cases: Mapping[str, Mapping[str, Value]] = document["figures"]
    groups = groupby(cases, lambda name: tuple(cases[name]) if len(cases) > MAX_COLUMNS else ())
    for group in [list(names) for _, names in groups] or [[]]:
        table = Table("", *group, box=SIMPLE_HEAD, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for name in dict.fromkeys(name for case in group for name in cases[case]):
            table.add_row(label(name), *(format_value(name, cases[case].get(name)) for case in group))
        console.print(table)
    if document["checks"]:
        table = Table("check", "value", "target", "", box=SIMPLE_HEAD, pad_edge=False)
        for name, check in document["checks"].items():
            verdict = "ok" if check["ok"] else "missed"
            table.add_row(label(name), format_value(name, check["value"]), format_value(name, check["target"]), verdict)
        console.print(table)


def label(name: str) -> str:
    """Return the name of a figure or check for people."""
    return name.removesuffix("_bytes").replace("_", " ")


def format_value(name: str, value: Value) -> str:
    """Format a value in the unit that its name ends in, with as many digits as a measurement deserves."""
    if value is None:
        return ""
    if isinstance(value, str | bool):
        return str(value)
    if name.endswith("_share"):
        return f"{value:.1%}"
    if name.endswith("_bytes"):
        return _format_size(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def _format_size(size: float) -> str:
    """Format bytes in the unit that leaves few digits."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = 0
    while abs(size) >= 999.5 and power < len(units) - 1:
        size, power = size / 1000, power + 1
    return f"{size:.3g} {units[power]}" if power else f"{size:.0f} B"

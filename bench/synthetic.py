"""The miniature's world: how quickly it is drawn, and two contact sheets to look at.

The first sheet shows a person in every field, each at a moment of a performance of their own, the second one person
through one performance. People and performances are among those that nothing is learned from.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.support import report
from bench.support.report import Case, Check, Findings
from models.miniature import FIRST_HELD_OUT_SEED, Identity, Performance, render
from troupe import Picture

__all__ = ["main", "people", "performance", "sheet"]

TARGET = 200.0
"""Frames a second at 128x128, of one core."""
SECONDS_APART = 0.4
"""Between two fields of the second sheet: long enough that they differ."""


def main(argv: Sequence[str] | None = None) -> None:
    """Draw, measure, write."""
    parser = report.make_parser(__doc__)
    parser.add_argument("--sheets", metavar="FOLDER", help="write people.png and performance.png there")
    parser.add_argument("--fields", type=report.positive_int, default=64, help="of a sheet (default %(default)s)")
    parser.add_argument("--side", type=report.positive_int, default=128, help="of a picture (default %(default)s)")
    parser.add_argument("--frames", type=report.positive_int, default=200, help="measured (default %(default)s)")
    report.main("synthetic", parser, lambda args: _measure(parser, args), argv)


def people(count: int, side: int) -> list[Picture]:
    """(side, side, 3) each: so many people, one after the other."""
    numbers = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + count)
    moments = [Performance.from_seed(number, 25, 25).moments[-1] for number in numbers]
    return [
        render(Identity.from_seed(number), moment, (side, side))[0]
        for number, moment in zip(numbers, moments, strict=True)
    ]


def performance(count: int, side: int) -> list[Picture]:
    """(side, side, 3) each: one person, so many moments."""
    moments = Performance.from_seed(FIRST_HELD_OUT_SEED, count, 1 / SECONDS_APART).moments
    return [render(Identity.from_seed(FIRST_HELD_OUT_SEED), moment, (side, side))[0] for moment in moments]


def sheet(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one size side by side, as many rows as columns; what is left of the last row is white."""
    columns = int(np.ceil(np.sqrt(len(pictures))))
    white = np.full_like(pictures[0], 255)
    fields = [*pictures, *[white] * (-len(pictures) % columns)]
    rows = [np.concatenate(fields[start : start + columns], axis=1) for start in range(0, len(fields), columns)]
    return np.concatenate(rows)


def _measure(parser: ArgumentParser, args: Namespace) -> Findings:
    if args.sheets is not None:
        folder = Path(args.sheets)
        if not folder.is_dir():
            parser.error(f"there is no folder {folder}")
        for name, draw in (("people", people), ("performance", performance)):
            Image.fromarray(sheet(draw(args.fields, args.side))).save(folder / f"{name}.png")
            report.log(f"{folder / name}.png")
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        rates = [_rate(FIRST_HELD_OUT_SEED + number, args.frames // 4 + 1, args.side) for number in range(4)]
    finally:
        cv2.setNumThreads(threads)
    rate = float(np.median(rates))
    case = Case({"side": args.side, "frames_a_second": rate}, {"frames_a_second": rates})
    checks = {"frames_a_second": Check.at_least(rate, TARGET)} if args.side == 128 else {}
    return Findings({"one core": case}, checks)


def _rate(number: int, frames: int, side: int) -> float:
    """Frames a second of one person's performance."""
    identity = Identity.from_seed(number)
    moments = Performance.from_seed(number, frames, 25).moments
    began = time.perf_counter()
    for moment in moments:
        render(identity, moment, (side, side))
    return frames / (time.perf_counter() - began)


if __name__ == "__main__":
    main()

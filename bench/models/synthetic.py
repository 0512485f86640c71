"""Speed of drawing the synthetic world, and two contact sheets.

The first sheet shows a different person in every cell, the second one person throughout one performance. People and
performances are held out from training.
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
"""Frames per second at 128x128, on one core."""
SECONDS_APART = 0.4
"""Time between two cells of the second sheet: long enough that they differ."""


def main(argv: Sequence[str] | None = None) -> None:
    """Measure the speed and write the sheets."""
    parser = report.make_parser(__doc__)
    parser.add_argument("--sheets", metavar="FOLDER", help="write people.png and performance.png there")
    parser.add_argument("--fields", type=report.positive_int, default=64, help="cells per sheet (default %(default)s)")
    parser.add_argument(
        "--side", type=report.positive_int, default=128, help="pixels of a picture's sides (default %(default)s)"
    )
    parser.add_argument(
        "--frames", type=report.positive_int, default=200, help="frames to measure (default %(default)s)"
    )
    report.main("synthetic", parser, lambda args: _measure(parser, args), argv)


def people(count: int, side: int) -> list[Picture]:
    """Draw this many people, (side, side, 3) each."""
    numbers = range(FIRST_HELD_OUT_SEED, FIRST_HELD_OUT_SEED + count)
    moments = [Performance.from_seed(number, 25, 25).moments[-1] for number in numbers]
    return [
        render(Identity.from_seed(number), moment, (side, side))[0]
        for number, moment in zip(numbers, moments, strict=True)
    ]


def performance(count: int, side: int) -> list[Picture]:
    """Draw this many moments of one person, (side, side, 3) each."""
    moments = Performance.from_seed(FIRST_HELD_OUT_SEED, count, 1 / SECONDS_APART).moments
    return [render(Identity.from_seed(FIRST_HELD_OUT_SEED), moment, (side, side))[0] for moment in moments]


def sheet(pictures: Sequence[Picture]) -> Picture:
    """Join pictures of one size, as many rows as columns; the rest of the last row is white."""
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
    """Measure frames per second of one person's performance."""
    identity = Identity.from_seed(number)
    moments = Performance.from_seed(number, frames, 25).moments
    started = time.perf_counter()
    for moment in moments:
        render(identity, moment, (side, side))
    return frames / (time.perf_counter() - started)


if __name__ == "__main__":
    main()

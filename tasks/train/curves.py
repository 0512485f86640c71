"""Loss curves: one line of JSON per step, and their plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from troupe.files import replacing

__all__ = ["append", "draw", "keep_until", "read"]

Line = dict[str, Any]


def read(path: Path) -> list[Line]:
    """Read the complete lines of the file; empty if it does not exist."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def append(path: Path, lines: Sequence[Line]) -> None:
    """Append steps to the file."""
    with path.open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def keep_until(path: Path, step: int) -> None:
    """Drop the lines after `step`; those steps will be repeated."""
    lines = [line for line in read(path) if line["step"] <= step]
    with replacing(path, sole_writer=True) as written:
        append(written, lines)


def draw(lines: Sequence[Line], path: Path, title: str) -> None:
    """Plot each loss and its moving mean to a PNG."""
    from matplotlib.figure import Figure

    names = [name for name in lines[-1] if name not in ("step", "rate", "seconds")] if lines else []
    figure = Figure(figsize=(7, 1.0 + 2.2 * max(1, len(names))), layout="constrained")
    figure.suptitle(title)
    for number, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, number + 1)
        steps = np.array([line["step"] for line in lines if name in line])
        values = np.array([line[name] for line in lines if name in line])
        span = max(1, len(values) // 50)
        axes.plot(steps, values, color="#9db4c0", linewidth=0.6)
        mean = np.convolve(values, np.ones(span) / span, mode="valid")
        axes.plot(steps[span - 1 :], mean, color="#253237", linewidth=1.4)
        if (values > 0).all():
            axes.set_yscale("log")
        axes.set_ylabel(name)
        axes.grid(alpha=0.3)
    with replacing(path, sole_writer=True) as written:
        figure.savefig(written, dpi=110, format="png")

"""Training as a user runs it: it converges, and interruptions and workers do not change the result.

The miniature's denoiser is trained from the same weights and clips without interruption; interrupted by Ctrl-C and
SIGKILL at random steps and resumed; in two passes per step; and by two workers. With `--weights`, a trained weights
directory is then fine-tuned to a new kind of people on clips prepared as users' clips are.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from bench.support import report
from bench.support.report import Case, Check, Findings
from models.miniature import FIRST_HELD_OUT_SEED, Identity, Performance, render
from tasks import media
from tasks.train import curves
from tasks.train.loop import CURVE
from tasks.train.results import RESULT
from troupe.errors import TroupeError
from troupe.process.scratch import scratch_folder

__all__ = ["main", "newcomer"]

TROUPE = [sys.executable, "-c", "from flows.cli import main; main()"]
SHARE = 10
"""The first and the last tenth of the losses are compared."""
LEARNING = """\
weights = "{folder}/weights"

[clips]
source = "world"
count = 16
frames = 12

[denoiser]
steps = {steps}
batch = 4
accumulate = {accumulate}
rate = 1e-3
warmup = 20
save_every = 20
[denoiser.options]
frames = 2
"""
TUNING = """\
weights = "{folder}/weights"
base = "{base}"

[clips]
source = "{folder}/clips.csv"
frames = 50

[adapters]
steps = {steps}
batch = 8
rate = 1e-3
warmup = 20
ema = 0.95
clip = 0.99
[adapters.options]
frames = 3
log_sigma = [0.0, 1.4]
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Train, interrupt, distribute and fine-tune."""
    parser = report.make_parser(__doc__)
    parser.add_argument("--steps", type=report.positive_int, default=300, help="training steps (default %(default)s)")
    parser.add_argument(
        "--stops",
        type=report.positive_int,
        default=3,
        help="Ctrl-C interruptions, and as many kills (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the interrupted steps (default %(default)s)")
    parser.add_argument("--weights", metavar="DIR", help="trained miniature to fine-tune")
    parser.add_argument(
        "--tuning", type=report.positive_int, default=200, help="steps of fine-tuning (default %(default)s)"
    )
    parser.add_argument(
        "--people", type=report.positive_int, default=12, help="clips for fine-tuning (default %(default)s)"
    )
    report.main("training", parser, _measure, argv)


def newcomer(number: int) -> Identity:
    """Return a person unlike the synthetic world's: long face, large eyes and ears, violet or crimson hair."""
    return replace(
        Identity.from_seed(FIRST_HELD_OUT_SEED + number),
        face_width=0.86,
        face_height=1.18,
        eye_size=1.4,
        ears=1.7,
        hair="short" if number % 2 else "long",
        hair_colour=(108, 62, 160) if number % 3 else (150, 24, 66),
        beard="none",
    )


def _measure(args: Namespace) -> Findings:
    cases: dict[str, Case] = {}
    checks: dict[str, Check] = {}
    with scratch_folder() as scratch:
        folder = Path(scratch)
        _learn(args, folder, cases, checks)
        if args.weights is not None:
            _tune(args, folder / "tuned", cases, checks)
    return Findings(cases, checks)


def _learn(args: Namespace, folder: Path, cases: dict[str, Case], checks: dict[str, Check]) -> None:
    report.log(f"{args.steps} steps at one go")
    whole = _prepared(folder / "whole", args.steps)
    _troupe(whole, "denoiser", "--local")
    losses = _losses(whole, "denoiser")
    tenth = max(1, len(losses) // SHARE)
    first, last = fmean(losses[:tenth]), fmean(losses[-tenth:])
    cases["at one go"] = _case(whole, "denoiser", {"first_loss": first, "last_loss": last})
    checks["loss_falls_last_over_first"] = Check.at_most(last / first, 1.0)

    stopped = _copied(whole, folder / "stopped", args.steps)
    moments = sorted(random.Random(args.seed).sample(range(1, args.steps), 2 * args.stops))
    for number, moment in enumerate(moments):
        sent = (signal.SIGINT, signal.SIGKILL)[number % 2]
        report.log(f"{sent.name} at step {moment}")
        _until(stopped, moment, sent)
    _troupe(stopped, "denoiser", "--local")
    again = _losses(stopped, "denoiser")
    differing = sum(a != b for a, b in zip(losses, again, strict=True))
    cases["stopped"] = _case(stopped, "denoiser", {"stops": len(moments), "losses_that_differ": differing})
    checks["losses_that_differ_after_stops"] = Check.exactly(differing, 0)

    # Sums in another order differ in their last digits, and after some thirty steps in all of them. One worker with two
    # passes per batch, on one thread as in Ray's workers, adds up in the order of two workers.
    report.log("two passes")
    passes = _copied(whole, folder / "passes", args.steps, accumulate=2)
    _troupe(passes, "denoiser", "--local", threads=1)
    one = _losses(passes, "denoiser")
    cases["two passes"] = _case(passes, "denoiser", {"last_loss": fmean(one[-tenth:])})
    report.log("two workers")
    shared = _copied(whole, folder / "shared", args.steps)
    _troupe(shared, "denoiser", "--workers", "2")
    two = _losses(shared, "denoiser")
    differing = sum(a != b for a, b in zip(one, two, strict=True))
    cases["two workers"] = _case(
        shared, "denoiser", {"last_loss": fmean(two[-tenth:]), "losses_that_differ": differing}
    )
    checks["losses_that_differ_with_two_workers"] = Check.exactly(differing, 0)


def _tune(args: Namespace, folder: Path, cases: dict[str, Case], checks: dict[str, Check]) -> None:
    report.log(f"{args.people} clips of new people")
    folder.mkdir()
    with (folder / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip"])
        for number in range(args.people):
            path = folder / f"{number:03}.mp4"
            moments = Performance.from_seed(FIRST_HELD_OUT_SEED + number, 50, 25).moments
            pictures = (render(newcomer(number), moment, (224, 224))[0] for moment in moments)
            media.encode(pictures, path, rate=Fraction(25), size=(224, 224))
            rows.writerow([path])
    (folder / "training.toml").write_text(TUNING.format(folder=folder, base=args.weights, steps=args.tuning))
    report.log(f"{args.tuning} steps of fine-tuning")
    _troupe(folder, "adapters", "--local")
    measured = _result(folder, "adapters")["measured"]
    before, after = measured["loss before"], measured["loss"]
    cases["fine-tuned"] = _case(folder, "adapters", {"loss_before": before, "loss_after": after})
    checks["loss_of_unseen_clips_after_over_before"] = Check.at_most(after / before, 1.0)


def _prepared(folder: Path, steps: int, accumulate: int = 1) -> Path:
    folder.mkdir()
    (folder / "training.toml").write_text(LEARNING.format(folder=folder, steps=steps, accumulate=accumulate))
    return folder


def _copied(whole: Path, folder: Path, steps: int, accumulate: int = 1) -> Path:
    """Prepare the same training again, with the clips already prepared."""
    _prepared(folder, steps, accumulate)
    for clips in (whole / "weights.training").glob("clips-*"):
        shutil.copytree(clips, folder / "weights.training" / clips.name)
    return folder


def _troupe(folder: Path, part: str, *more: str, threads: int | None = None) -> None:
    _start(folder, *more, threads=threads).wait()
    if not (folder / "weights.training" / part / RESULT).exists():
        raise TroupeError(f"the training of {part} did not finish")


def _start(folder: Path, *more: str, threads: int | None = None) -> subprocess.Popen[bytes]:
    own = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    words = [*TROUPE, "train", str(folder / "training.toml"), "--device", "cpu", *more]
    return subprocess.Popen(words, stdout=sys.stderr, env=os.environ | own)


def _until(folder: Path, step: int, sent: signal.Signals) -> None:
    """Train until the curve reaches a step, then send the signal."""
    process = _start(folder, "--local")
    curve = folder / "weights.training" / "denoiser" / CURVE
    while process.poll() is None:
        lines = curves.read(curve)
        if lines and lines[-1]["step"] >= step:
            process.send_signal(sent)
            process.wait()
            return
        time.sleep(0.05)
    raise AssertionError(f"the training finished before step {step}")


def _losses(folder: Path, part: str) -> list[float]:
    return [line["loss"] for line in curves.read(folder / "weights.training" / part / CURVE)]


def _result(folder: Path, part: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "weights.training" / part / RESULT).read_text())
    return found


def _case(folder: Path, part: str, figures: dict[str, Any]) -> Case:
    losses = _losses(folder, part)
    seconds = [line["seconds"] for line in curves.read(folder / "weights.training" / part / CURVE)]
    return Case(
        {"steps": len(losses), "step_seconds": float(np.median(seconds)), **figures},
        {"loss": losses},
    )


if __name__ == "__main__":
    main()

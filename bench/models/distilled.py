"""The preset `fast`: how close a distilled denoiser comes to the guided sampler that it learned from.

Strangers act drawn clips, as in `bench.models.savings`, with `exact`, with `fast`, and with as many steps of the
denoiser itself. Reported is the same; work is counted at the released sizes for a clip of 250 frames, with padding and
overlap, and without.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from bench.models.savings import COUNTED_FRAMES, EXACT, compare
from bench.models.savings import parser as parser_of
from bench.support.flops import count_clip_cost, count_frame_cost
from bench.support.judge import TRAITS
from bench.support.random_weights import FULL
from bench.support.report import Case, Check, Findings, main
from models.miniature import SHIPPED_WEIGHTS
from models.sampler.guidance import Branch
from models.weights import require_distilled
from troupe import PRESETS

__all__ = ["measure", "parser"]

FAST = PRESETS["fast"]
UNDISTILLED = replace(FAST, distilled=False)
VARIANTS = {"exact": EXACT, "undistilled": UNDISTILLED, "fast": FAST}
MIN_GAIN_DB, MAX_CORRELATION_LOSS, MAX_IDENTITY_LOSS, MAX_TFLOP = 3.0, 0.02, 0.02, 7.6


def measure(args: Namespace) -> Findings:
    """Animate every clip with every setting."""
    require_distilled(args.weights)
    cases = compare(args, args.weights, VARIANTS, ("exact",))
    frame = count_frame_cost(FULL.config, FAST.decode_chunk)
    clip = count_clip_cost(COUNTED_FRAMES, FULL.config, FAST, frame)
    least = frame.branches[Branch.FULL] * FAST.steps + frame.motion + frame.decode
    own = {
        "evaluations_per_own_frame": clip.least_evaluations / COUNTED_FRAMES,
        "least_tflop_per_frame": least.products / 1e12,
    }
    cases["fast"] = Case(dict(cases["fast"].figures) | own, cases["fast"].samples)
    return Findings(cases, _checks(cases))


def _checks(cases: dict[str, Case]) -> dict[str, Check]:
    """Compare `fast` with what it should be: closer to `exact` than undistilled, and no worse to the judges."""
    exact, undistilled, fast = (cases[name] for name in VARIANTS)

    def loss(name: str) -> float:
        return exact.number(name) - fast.number(name)

    gain = fast.number("psnr_to_exact_db") - undistilled.number("psnr_to_exact_db")
    return {
        "gain_over_undistilled_db": Check.at_least(gain, MIN_GAIN_DB),
        "correlation_lost": Check.at_most(max(map(loss, TRAITS)), MAX_CORRELATION_LOSS),
        "identity_lost": Check.at_most(loss("found_share"), MAX_IDENTITY_LOSS),
        "flicker": Check.at_most(fast.number("flicker"), exact.number("flicker")),
        "evaluations_per_own_frame": Check.exactly(fast.number("evaluations_per_own_frame"), FAST.steps),
        "tflop_per_frame_beyond_padding_and_overlap": Check.at_most(fast.number("least_tflop_per_frame"), MAX_TFLOP),
    }


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = parser_of(__doc__)
    options.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, metavar="DIR", help="weights directory")
    return options


if __name__ == "__main__":
    main("distilled", parser(), measure)

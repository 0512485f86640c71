"""Settings of the sampler that save work, each with what it loses on the miniature.

Strangers act drawn clips, as in `bench.miniature`, with every setting. Reported, as means over the clips: PSNR to
`exact` and to 10 steps with everything, the judge's correlations with what the driver truly did, how often it finds
the person among 100, and flicker: the mean absolute difference of consecutive frames, in grey levels. Work is counted
at the released sizes for a clip of 250 frames, with the miniature's noise levels: by them an interval of guidance takes
as many steps as in the renders that are measured.

With `--keep FOLDER` frames are stored there and not made again: a run of hours can be stopped and continued. With
`--padding 0` the clips are rendered without the frames that precede and follow them and are cut off again: less than
half of the time. Work is counted with the padding of each setting, and a setting is compared with those rendered alike.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from bench.miniature import cross_reenactment
from bench.support.flops import count_clip_cost, count_frame_cost
from bench.support.judge import FILE, TRAITS, open_judge
from bench.support.random_weights import FULL
from bench.support.reenactment import (
    EncodedClip,
    EncodedPortrait,
    animate,
    encode_clip,
    encode_gallery,
    encode_stranger,
)
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from bench.support.stored_frames import stored_frames
from models.animator import Animator, load
from models.config import ModelConfig
from models.faces import open_detector
from models.miniature import SHIPPED_WEIGHTS
from models.weights import detector_file
from tasks.evaluation.metrics import psnr
from troupe import PRESETS, Picture, SamplerSettings

__all__ = ["COUNTED_FRAMES", "EXACT", "SAVINGS", "compare", "measure", "parser"]

EXACT, DRAFT = PRESETS["exact"], SamplerSettings(steps=10)
MIDDLE = (0.1, 30.0)
"""Noise levels with guidance, of 0.02 to 40."""
SAVINGS = {
    "exact": EXACT,
    "10 steps": DRAFT,
    "10 steps, guidance within 0.1 to 30": replace(DRAFT, guidance_interval=MIDDLE),
    "10 steps, guidance every 2nd step": replace(DRAFT, guidance_every=2),
    "10 steps, inner stages every 2nd step": replace(DRAFT, deep_every=2),
    "10 steps, both every 2nd step": replace(DRAFT, guidance_every=2, deep_every=2),
    "10 steps, overlap 1": replace(DRAFT, overlap=1),
    "8 steps": replace(DRAFT, steps=8),
    "6 steps": replace(DRAFT, steps=6),
    "5 steps": replace(DRAFT, steps=5),
}
"""The first is the reference."""
COUNTED_FRAMES = 250
MAX_SHARE, MIN_PSNR = 0.4, 40.0
"""What a setting should reach against 10 steps with everything: evaluations, and PSNR in dB."""


def measure(args: Namespace) -> Findings:
    """Animate every clip with every setting."""
    cases = compare(args, SHIPPED_WEIGHTS, SAVINGS, ("exact", "10 steps"))
    return Findings(cases, _checks(cases))


def compare(
    args: Namespace, weights: Path, variants: Mapping[str, SamplerSettings], references: Sequence[str]
) -> dict[str, Case]:
    """Animate clips with several settings, and judge what comes out.

    Args:
        args: number of clips, of their frames and of frames of padding, number type, and the folder of frames that are
            kept.
        variants: settings by name.
        references: variants to which the distance of all is measured.
    """
    judge, animator = open_judge(FILE), load(weights, "cpu", args.dtype)
    detector = open_detector(detector_file(weights), "cpu")
    clips, outputs = [], {name: list[Picture]() for name in variants}
    for number in range(args.clips):
        clip, _ = encode_clip(number, args.frames, animator, detector)
        stranger = encode_stranger(number, animator, detector)
        clips.append(clip)
        for position, (name, settings) in enumerate(variants.items()):
            rendered = settings if args.padding is None else replace(settings, padding=args.padding)
            log(f"clip {number + 1} of {args.clips}: {name}")
            outputs[name].append(
                stored_frames(
                    args.keep and args.keep / f"{number:02}-{position:02}.npy",
                    partial(_animated, animator, stranger, clip, rendered),
                )
            )
    costs = count_frame_cost(FULL.config, EXACT.decode_chunk)
    counted = replace(FULL.config, scheduler=ModelConfig.read(weights).scheduler)
    galleries = [encode_gallery(judge, moved) for moved in (False, True)]
    cases: dict[str, Case] = {}
    for name, settings in variants.items():
        work = count_clip_cost(COUNTED_FRAMES, counted, settings, costs)
        acted = cross_reenactment(clips, outputs[name], judge, galleries)
        samples = {
            f"psnr_to_{other.replace(' ', '_')}_db": [
                min(psnr(*pair), 99.0) for pair in zip(outputs[name], outputs[other], strict=True)
            ]
            for other in references
        }
        flicker = [_flicker(frames) for frames in outputs[name]]
        cases[name] = Case(
            {
                "evaluations_per_frame": work.evaluations / COUNTED_FRAMES,
                "tflop_per_frame": (work.denoise.products + work.decode.products) / COUNTED_FRAMES / 1e12,
                **{key: fmean(values) for key, values in samples.items()},
                **{trait: acted.figures[trait] for trait in TRAITS},
                "found_share": acted.figures["found_share"],
                "flicker": fmean(flicker),
            },
            samples | {"flicker": flicker},
        )
    return cases


def _checks(cases: dict[str, Case]) -> dict[str, Check]:
    """Return the best PSNR to 10 steps among the settings with at most the wanted share of its work."""
    most = MAX_SHARE * cases["10 steps"].number("tflop_per_frame")
    cheap = {name: case for name, case in cases.items() if case.number("tflop_per_frame") <= most}
    best = max((case.number("psnr_to_10_steps_db") for case in cheap.values()), default=0.0)
    return {
        "settings": Check.at_least(len(cases), 10),
        "psnr_to_10_steps_with_two_fifths_of_the_work_db": Check.at_least(best, MIN_PSNR),
    }


def _flicker(frames: Picture) -> float:
    return float(np.abs(np.diff(frames.astype(np.int16), axis=0)).mean())


def _animated(animator: Animator, stranger: EncodedPortrait, clip: EncodedClip, settings: SamplerSettings) -> Picture:
    return animate(animator, stranger, clip, settings)[0]


def parser(description: str | None = __doc__) -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(description)
    options.add_argument("--clips", type=positive_int, default=32, metavar="N", help="clips (default 32)")
    options.add_argument("--frames", type=positive_int, default=25, metavar="N", help="frames per clip (default 25)")
    options.add_argument("--padding", type=int, metavar="N", help="frames of padding (default: each setting's own)")
    options.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"), help="number type")
    options.add_argument("--keep", type=Path, metavar="FOLDER", help="store frames here, and reuse those stored")
    return options


if __name__ == "__main__":
    main("savings", parser(), measure)

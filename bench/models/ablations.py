"""Does every part of the miniature earn its place? Each is disabled, and the outputs are compared clip by clip.

Drawn clips drive their own first frame and a stranger's portrait, as in `bench.miniature`, with the full model and with
one part less; with the voice, the stranger's mouth follows another performance's sound. Reported of the full model:
PSNR and SSIM against the clip's own frames, the judge's correlations with what the driver truly did, the reach of mouth
and eyes, the likeness (cosine between the judge's embeddings of the output and of the person), and the share of people
that it finds among 100. Reported of each ablation: by how much each of these is worse, and the standard error of that
difference over the clips (jackknife). A part earns its place if what it serves is worse by more than one standard error
without it.

With `--keep FOLDER` frames are stored there and not made again: a run of hours can be stopped and continued.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np

from bench.support.judge import FILE, TRAITS, Judge, open_judge
from bench.support.reenactment import (
    ABLATIONS,
    FIXED_INTENSITY,
    NO_ADAPTERS,
    NO_BANK,
    NO_MOTION,
    EncodedClip,
    EncodedPortrait,
    animate,
    encode_clip,
    encode_gallery,
    encode_stranger,
)
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from bench.support.speech import draw_speech, speaking_clip
from bench.support.stored_frames import stored_frames
from models.animator import Animator, load
from models.faces import open_detector
from models.miniature import SHIPPED_WEIGHTS
from models.runtime.device import DTYPES
from models.weights import detector_file, load_voice
from tasks.evaluation.metrics import psnr, ssim
from troupe import PRESETS, Floats, Picture, SamplerSettings, preset

__all__ = ["Acted", "measure", "paired_losses", "parser"]

FULL, NO_VOICE = "full model", "voice off"
HEARD = "mouth_of_the_sound"
SERVES = {
    NO_BANK: "psnr_db",
    FIXED_INTENSITY: "psnr_db",
    NO_ADAPTERS: "likeness",
    NO_MOTION: "psnr_db",
    NO_VOICE: HEARD,
}
"""What each part is for, fixed before measuring: of a dozen figures, some differ by a standard error by chance."""


@dataclass(frozen=True)
class Acted:
    """One clip's outputs, judged.

    Attributes:
        means: name -> value of this clip, of which the mean over the clips is reported.
        series: name -> (F,) what the judge reads and (F,) the truth, which are correlated over all clips together.
        reaching: names of the series whose reach is reported too.
    """

    means: Mapping[str, float]
    series: Mapping[str, tuple[Floats, Floats]]
    reaching: tuple[str, ...] = ()


def measure(args: Namespace) -> Findings:
    """Animate every clip with every part disabled in turn."""
    judge, animator = open_judge(FILE), load(args.weights, "cpu", args.dtype)
    voice, settings = load_voice(args.weights), preset(args.preset)
    detector = open_detector(detector_file(args.weights), "cpu")
    gallery = encode_gallery(judge, False)
    acted: dict[str, list[Acted]] = {name: [] for name in (FULL, *ABLATIONS, NO_VOICE)}
    for number in range(args.clips):
        clip, itself = encode_clip(number, args.frames, animator, detector)
        stranger, speech = encode_stranger(number, animator, detector), draw_speech(number, args.frames)
        log(f"clip {number + 1} of {args.clips}")

        def frames(
            name: str, portrait: EncodedPortrait, clip: EncodedClip, ablation: str, number: int = number
        ) -> Picture:
            path = args.keep and args.keep / f"{args.preset}-{args.frames}" / f"{number:02}-{name}.npy"
            return stored_frames(path, partial(_animated, animator, portrait, clip, settings, ablation))

        for index, ablation in enumerate(("", *ABLATIONS)):
            own = frames(f"self-{index}", itself, clip, ablation)
            cross = frames(f"cross-{index}", stranger, clip, ablation)
            acted[ablation or FULL].append(_judged(judge, gallery, number, clip, own, cross))
            if not ablation:
                spoken = speaking_clip(clip, voice, lambda: [speech.samples], window=animator.config.window)  # noqa: B023
                heard = frames("voice", stranger, spoken, "")
                acted[FULL][-1] = _with_mouth(judge, acted[FULL][-1], heard, speech.mouth)
                acted[NO_VOICE].append(_with_mouth(judge, Acted({}, {}), cross, speech.mouth))
    cases = {FULL: Case(_figures(acted[FULL]), _samples(acted[FULL]))}
    for name in (*ABLATIONS, NO_VOICE):
        cases[name] = Case(paired_losses(acted[FULL], acted[name]), _samples(acted[name]))
    return Findings(cases, {f"{name}: {SERVES[name]}": _check(cases[name], SERVES[name]) for name in SERVES})


def _animated(
    animator: Animator, portrait: EncodedPortrait, clip: EncodedClip, settings: SamplerSettings, ablation: str
) -> Picture:
    return animate(animator, portrait, clip, settings, ablation)[0]


def _judged(
    judge: Judge,
    gallery: Floats,
    number: int,
    clip: EncodedClip,
    own: Picture,
    cross: Picture,
) -> Acted:
    """Compare one clip's outputs with the truth; the first frame of `own` is the portrait itself."""
    truth, read = clip.heads[1:], judge.read(cross)
    likenesses = gallery @ judge.identify(cross).mean(axis=0)
    means = {
        "psnr_db": psnr(own[1:], truth),
        "ssim": fmean(ssim(*pair) for pair in zip(own[1:], truth, strict=True)),
        "likeness": float(likenesses[number]),
        "found_share": float(likenesses.argmax() == number),
    }
    return Acted(means, {name: (read[name], clip.traits[name]) for name in TRAITS}, ("mouth", "eyes"))


def _with_mouth(judge: Judge, acted: Acted, frames: Picture, mouth: Floats) -> Acted:
    return Acted(acted.means, {**acted.series, HEARD: (judge.read(frames)["mouth"], mouth)}, acted.reaching)


def _figures(acted: Sequence[Acted]) -> dict[str, float]:
    """Return means over the clips, and correlations and reaches over the frames of all clips."""
    figures = {name: fmean(one.means[name] for one in acted) for name in acted[0].means}
    for name in acted[0].series:
        read, true = (np.concatenate([one.series[name][part] for one in acted]) for part in (0, 1))
        figures[name] = float(np.corrcoef(read, true)[0, 1])
        if name in acted[0].reaching:
            figures[f"{name}_reach"] = float(np.polyfit(true, read, 1)[0])
    return figures


def paired_losses(full: Sequence[Acted], ablated: Sequence[Acted]) -> dict[str, float]:
    """Return by how much each figure is worse without a part, and the standard error of that, by the jackknife.

    For means, the error is that of the mean of the clips' differences.
    """

    def losses(pairs: Sequence[tuple[Acted, Acted]]) -> dict[str, float]:
        whole, rest = _figures([one for one, _ in pairs]), _figures([other for _, other in pairs])
        return {name: whole[name] - value for name, value in rest.items()}

    pairs = list(zip(full, ablated, strict=True))
    lost, count = losses(pairs), len(pairs)
    without = [losses(pairs[:number] + pairs[number + 1 :]) for number in range(count)] if count > 1 else []
    found: dict[str, float] = {}
    for name, value in lost.items():
        spread = np.var([one[name] for one in without]) if without else np.nan
        found |= {f"{name}_lost": value, f"{name}_error": float(np.sqrt((count - 1) * spread))}
    return found


def _check(case: Case, served: str) -> Check:
    """Return the loss in standard errors, which should be more than one."""
    lost, error = case.number(f"{served}_lost"), case.number(f"{served}_error")
    return Check.at_least(lost / error if error else 0.0, 1.0)


def _samples(acted: Sequence[Acted]) -> dict[str, list[float]]:
    return {name: [one.means[name] for one in acted] for name in acted[0].means}


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument(
        "--weights", type=Path, default=SHIPPED_WEIGHTS, metavar="DIR", help="default: the shipped miniature"
    )
    options.add_argument("--clips", type=positive_int, default=32, metavar="N", help="clips (default 32)")
    options.add_argument("--frames", type=positive_int, default=25, metavar="N", help="frames per clip (default 25)")
    options.add_argument("--preset", default="sketch", choices=PRESETS)
    options.add_argument("--dtype", default="auto", choices=("auto", *DTYPES), help="number type")
    options.add_argument("--keep", type=Path, metavar="FOLDER", help="store frames here, and reuse those stored")
    return options


if __name__ == "__main__":
    main("ablations", parser(), measure)

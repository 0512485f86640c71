"""Quality of the miniature's output, on people and performances that it was not trained on.

  self-reenactment   a clip drives its own first frame: PSNR and SSIM of the other frames against the clip's, beside
                     those of showing that first frame throughout.
  cross-reenactment  a stranger's portrait acts the clip: `bench.support.judge` reads the output, and its readings are
                     correlated with what the driver truly did. Also reported: its readings of the clip itself, and the
                     reach, by how much the output changes when the driver changes by one. The judge then looks for the
                     output's person among the pictures of 100 people, and among the same people in other clothes
                     before other walls.
  variants           self-reenactment by preset, by number type, and without the sampler's optimisations.

Clips are drawn, tracked with the weights directory's own detector, and encoded once. Outputs are judged at the model's
own size. What each part of the model contributes is measured by `bench.models.ablations`.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
from PIL import Image

from bench.support.judge import FILE, SIDE, TRAITS, Judge, open_judge
from bench.support.reenactment import (
    EncodedClip,
    EncodedPortrait,
    animate,
    contact_sheet,
    encode_clip,
    encode_gallery,
    encode_stranger,
)
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from models.animator import Animator, load
from models.faces import open_detector
from models.miniature import SHIPPED_WEIGHTS
from models.runtime.device import DTYPES
from models.weights import detector_file
from tasks.evaluation.metrics import psnr, ssim
from troupe import PRESETS, Floats, Picture, SamplerSettings, preset
from troupe.errors import SettingsError

__all__ = ["cross_reenactment", "measure", "parser"]

MIN_CORRELATION = {"yaw": 0.8, "pitch": 0.8, "roll": 0.8, "mouth": 0.6, "eyes": 0.6}
SELF_AIMS = {"psnr_aim_db": 24.0, "ssim_aim": 0.85, "gain_aim_db": 4.0}
CROSS_AIMS = {"mouth_aim": 0.8, "eyes_aim": 0.8, "found_aim_share": 0.9}
"""Long-term aims, shown beside the figures; the checks hold what ships."""
MAX_MINUTES, MAX_STEPS = 25, 10
ALMOST_NO_GUIDANCE = 1 + 1e-9
"""Guidance strength that changes nothing but still evaluates the guided branch."""


@dataclass(frozen=True)
class Variant:
    """One way to compute the same clip.

    Attributes:
        preset: name of the preset.
        dtype: number type of the denoiser and the decoder.
        strength: guidance strength instead of the preset's.
        budget: fields of the animator's budget to replace.
    """

    preset: str
    dtype: str = "float32"
    strength: float | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, steps: int | None) -> SamplerSettings:
        """Return the sampler's settings."""
        settings = _settings(self.preset, steps)
        if self.strength is None:
            return settings
        return replace(settings, appearance_guidance=(self.strength,) * 2, motion_guidance=(self.strength,) * 2)


VARIANTS = {
    "exact, float32": Variant("exact"),
    "draft, float32": Variant("draft"),
    "sketch, float32": Variant("sketch"),
    "sketch, bfloat16": Variant("sketch", dtype="bfloat16"),
    "sketch, one window a call": Variant("sketch", budget={"activations": 0}),
    "sketch, motion projected each time": Variant("sketch", budget={"motion": 0}),
    "sketch, a branch for nothing": Variant("sketch", strength=ALMOST_NO_GUIDANCE),
}
"""The first is the reference for the others; the last three each disable one optimisation."""


def measure(args: Namespace) -> Findings:
    """Encode, animate and judge."""
    started = time.perf_counter()
    judge = open_judge(args.judge)
    animator = load(args.weights, args.device, args.dtype)
    if animator.config.image_size != SIDE:
        raise SettingsError(f"the judge reads {SIDE} pixels, but this model outputs {animator.config.image_size}")
    detector, settings = open_detector(detector_file(args.weights), "cpu"), _settings(args.preset, args.steps)
    log("drawing and encoding")
    count = max(args.clips, args.pairs)
    encoded = [encode_clip(number, args.frames, animator, detector) for number in range(count)]
    clips, selves = [clip for clip, _ in encoded], [subject for _, subject in encoded[: args.clips]]
    strangers = [encode_stranger(number, animator, detector) for number in range(args.pairs)]
    galleries = [encode_gallery(judge, moved) for moved in (False, True)]

    log(f"{len(selves)} self- and {len(strangers)} cross-reenactments: {args.preset}, {animator.dtype}")
    self_outputs, cross_outputs = (
        [animate(animator, *pair, settings) for pair in _pairs(subjects, clips)] for subjects in (selves, strangers)
    )
    if args.pictures is not None:
        args.pictures.mkdir(parents=True, exist_ok=True)
        for name, subjects, outputs in (("self", selves, self_outputs), ("cross", strangers, cross_outputs)):
            for number, (pair, (frames, _)) in enumerate(zip(_pairs(subjects, clips), outputs, strict=True)):
                Image.fromarray(contact_sheet(*pair, frames)).save(args.pictures / f"{name}-{number:02}.png")
    self_case = _self_reenactment(selves, clips, [frames for frames, _ in self_outputs])
    cross_case = cross_reenactment(clips, [frames for frames, _ in cross_outputs], judge, galleries)
    seconds = [taken / args.frames for _, taken in self_outputs + cross_outputs]
    cases = {
        "self-reenactment": Case(
            {**self_case.figures, **SELF_AIMS, "frame_seconds": median(seconds)},
            {**self_case.samples, "frame_seconds": seconds},
        ),
        "cross-reenactment": Case({**cross_case.figures, **CROSS_AIMS}, cross_case.samples),
    }
    cases |= _variants(args, animator, selves[: args.timed], clips)
    checks = {
        "self_reenactment_psnr_db": Check.at_least(self_case.number("psnr_db"), 22.0),
        "self_reenactment_ssim": Check.at_least(self_case.number("ssim"), 0.80),
        "db_above_showing_the_still_portrait": Check.at_least(self_case.number("gain_db"), 3.0),
        **{
            f"cross_reenactment_{name}": Check.at_least(cross_case.number(name), least)
            for name, least in MIN_CORRELATION.items()
        },
        "identity_found_among_100_share": Check.at_least(cross_case.number("found_share"), 0.8),
        "sampling_steps": Check.at_most(settings.steps, MAX_STEPS),
        "minutes": Check.at_most((time.perf_counter() - started) / 60, MAX_MINUTES),
    }
    return Findings(cases, checks)


def _pairs(
    subjects: Sequence[EncodedPortrait], clips: Sequence[EncodedClip]
) -> Iterator[tuple[EncodedPortrait, EncodedClip]]:
    return zip(subjects, clips, strict=False)


def _self_reenactment(
    subjects: Sequence[EncodedPortrait], clips: Sequence[EncodedClip], outputs: Sequence[Picture]
) -> Case:
    """Compare outputs with their clips, without the first frame, which is the portrait itself."""
    samples: dict[str, list[float]] = {name: [] for name in ("psnr_db", "ssim", "still_psnr_db", "still_ssim")}
    for subject, clip, frames in zip(subjects, clips, outputs, strict=False):
        truth, still = clip.heads[1:], np.broadcast_to(subject.portrait.crop, clip.heads[1:].shape)
        for prefix, shown in (("", frames[1:]), ("still_", still)):
            samples[f"{prefix}psnr_db"].append(psnr(shown, truth))  # of the error of all frames together
            samples[f"{prefix}ssim"].append(fmean(ssim(*pair) for pair in zip(shown, truth, strict=True)))
    both = zip(samples["psnr_db"], samples["still_psnr_db"], strict=True)
    samples["gain_db"] = [output - still for output, still in both]
    return Case({name: fmean(values) for name, values in samples.items()}, samples)


def cross_reenactment(
    clips: Sequence[EncodedClip], outputs: Sequence[Picture], judge: Judge, galleries: Sequence[Floats]
) -> Case:
    """Compare the judge's readings of the outputs with the truth, and look for their people in the galleries."""
    acted = clips[: len(outputs)]
    read, ceiling = judge.read(np.concatenate(outputs)), judge.read(np.concatenate([clip.heads for clip in acted]))
    true = {name: np.concatenate([clip.traits[name] for clip in acted]) for name in TRAITS}
    figures: dict[str, float] = {name: _correlation(read[name], true[name]) for name in TRAITS}
    figures |= {f"{name}_of_the_clip": _correlation(ceiling[name], true[name]) for name in TRAITS}
    figures |= {f"{name}_reach": float(np.polyfit(true[name], read[name], 1)[0]) for name in TRAITS}
    samples = {name: read[name].tolist() for name in TRAITS} | {f"{name}_true": true[name].tolist() for name in TRAITS}
    vectors = np.stack([judge.identify(frames).mean(axis=0) for frames in outputs])
    for name, gallery in zip(("found", "found_elsewhere"), galleries, strict=True):
        samples[name] = ((vectors @ gallery.T).argmax(axis=1) == np.arange(len(outputs))).astype(float).tolist()
        figures[f"{name}_share"] = fmean(samples[name])
    return Case(figures, samples)


def _variants(
    args: Namespace, animator: Animator, subjects: Sequence[EncodedPortrait], clips: Sequence[EncodedClip]
) -> dict[str, Case]:
    """Quality and seconds by variant; the variants take turns."""
    loaded = {str(animator.dtype).removeprefix("torch."): animator}
    for dtype in {variant.dtype for variant in VARIANTS.values()} - set(loaded):
        loaded[dtype] = load(args.weights, args.device, dtype)
    outputs: dict[str, list[tuple[Picture, float]]] = {name: [] for name in VARIANTS}
    for number, pair in enumerate(_pairs(subjects, clips)):
        log(f"clip {number} in {len(VARIANTS)} variants")
        for name, variant in VARIANTS.items():
            chosen = loaded[variant.dtype]
            budget, chosen.budget = chosen.budget, replace(chosen.budget, **variant.budget)
            outputs[name].append(animate(chosen, *pair, variant.settings(args.steps)))
            chosen.budget = budget
    exact = [frames for frames, _ in next(iter(outputs.values()))]
    cases = {}
    for name, results in outputs.items():
        case = _self_reenactment(subjects, clips, [frames for frames, _ in results])
        samples = {key: case.samples[key] for key in ("psnr_db", "ssim")}
        samples["psnr_to_exact_db"] = [psnr(frames, best) for (frames, _), best in zip(results, exact, strict=True)]
        seconds = [taken / args.frames for _, taken in results]
        figures = {"frame_seconds": median(seconds), **{key: fmean(values) for key, values in samples.items()}}
        cases[name] = Case(figures, {"frame_seconds": seconds, **samples})
    return cases


def _correlation(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _settings(name: str, steps: int | None) -> SamplerSettings:
    settings = preset(name)
    return replace(settings, steps=steps or settings.steps)


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument(
        "--weights", type=Path, default=SHIPPED_WEIGHTS, metavar="DIR", help="default: the shipped miniature"
    )
    options.add_argument("--judge", type=Path, default=FILE, metavar="FILE", help="(default: shipped)")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--dtype", default="auto", choices=("auto", *DTYPES), help="number type, except in variants")
    options.add_argument("--preset", default="sketch", choices=PRESETS, help="preset, except in variants")
    options.add_argument("--steps", type=positive_int, metavar="N", help="sampler steps, instead of each preset's own")
    counts = {
        "clips": (32, "clips that drive their own first frame"),
        "pairs": (32, "pairs of a stranger and a clip"),
        "frames": (25, "frames per clip"),
        "timed": (5, "clips per variant"),
    }
    for name, (count, words) in counts.items():
        options.add_argument(
            f"--{name}", type=positive_int, default=count, metavar="N", help=f"{words} (default {count})"
        )
    options.add_argument("--pictures", type=Path, metavar="FOLDER", help="save a contact sheet per output here")
    return options


if __name__ == "__main__":
    main("miniature", parser(), measure)

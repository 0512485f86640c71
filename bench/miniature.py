"""What the miniature can do, judged by what comes out, on people and performances that nothing was learned from.

  self-reenactment   a clip drives its own first frame: PSNR and SSIM of the other frames against the clip's, beside
                     those of showing that frame all the time.
  cross-reenactment  somebody else's portrait acts the clip: `bench.witness` reads the output, and what it reads is
                     correlated with what the driver truly did; what it reads in the clip itself is told beside it, and
                     the reach, how far the output goes where the driver goes by one. And it looks for the output's
                     person among the pictures of 100 people, and among the same people in other clothes before other
                     walls.
  ablations          both again, with a part of the model put out of action.
  ways               self-reenactment by presets, in number types and without what the sampler spares itself.

Clips are drawn, followed by the weights directory's own detector, and encoded once. Outputs are judged in the model's
own size.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np
import torch
from PIL import Image

from bench import cast
from bench.cast import Clip, Sitter
from bench.report import Case, Check, Findings, arguments, main, positive, tell
from bench.witness import FILE, SIDE, TOLD, Witness, open_witness
from models.animator import Animator, load
from models.faces import open_detector
from models.miniature import SHIPPED_WEIGHTS
from models.runtime.device import DTYPES
from models.weights import detector_file
from tasks.evaluation.metrics import psnr, ssim
from troupe import PRESETS, Floats, Picture, SamplerSettings, preset
from troupe.errors import SettingsError

__all__ = ["measure", "parser"]

LEAST = {"yaw": 0.8, "pitch": 0.8, "roll": 0.8, "mouth": 0.6, "eyes": 0.6}
AIMS = {"psnr_aim_db": 24.0, "ssim_aim": 0.85, "gain_aim_db": 4.0}
CROSS_AIMS = {"mouth_aim": 0.8, "eyes_aim": 0.8, "found_aim_share": 0.9}
"""What is wanted in the end; the checks tell what ships."""
MINUTES, STEPS = 25, 10
BANK, INTENSITY, ADAPTERS, MOTION = "memory bank zeroed", "intensity fixed", "IMAdapter off", "motion off"
TYPICAL = (22, 16)
"""The world's mean intensity of head and expression: what it is fixed to."""
NEARLY = 1 + 1e-9
"""Guidance of this strength is none, but for the branches that it takes."""
SHOWN = 7


@dataclass(frozen=True)
class Way:
    """One of the ways to compute the same clip.

    Attributes:
        preset: its name.
        dtype: of the denoiser and the decoder.
        strength: of the guidance instead of the preset's.
        budget: instead of the animator's.
    """

    preset: str
    dtype: str = "float32"
    strength: float | None = None
    budget: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, steps: int | None) -> SamplerSettings:
        """Of the sampler."""
        chosen = _settings(self.preset, steps)
        if self.strength is None:
            return chosen
        return replace(chosen, appearance_guidance=(self.strength,) * 2, motion_guidance=(self.strength,) * 2)


WAYS = {
    "exact, float32": Way("exact"),
    "draft, float32": Way("draft"),
    "sketch, float32": Way("sketch"),
    "sketch, bfloat16": Way("sketch", dtype="bfloat16"),
    "sketch, one window a call": Way("sketch", budget={"activations": 0}),
    "sketch, motion projected each time": Way("sketch", budget={"motion": 0}),
    "sketch, a branch for nothing": Way("sketch", strength=NEARLY),
}
"""The first is what the others are held against; the last three spare themselves nothing."""


def measure(chosen: Namespace) -> Findings:
    """Encode, act, judge."""
    since = time.perf_counter()
    witness = open_witness(chosen.witness)
    animator = load(chosen.weights, chosen.device, chosen.dtype)
    if animator.config.image_size != SIDE:
        raise SettingsError(f"the witness looks at {SIDE} pixels, this model paints {animator.config.image_size}")
    detector, settings = open_detector(detector_file(chosen.weights), "cpu"), _settings(chosen.preset, chosen.steps)
    tell("drawing and encoding")
    count = max(chosen.clips, chosen.pairs)
    encoded = [cast.clip(number, chosen.frames, animator, detector) for number in range(count)]
    clips, own = [clip for clip, _ in encoded], [sitter for _, sitter in encoded[: chosen.clips]]
    others = [cast.stranger(number, animator, detector) for number in range(chosen.pairs)]
    galleries = [cast.gallery(witness, moved) for moved in (False, True)]

    tell(f"{len(own)} clips of themselves and {len(others)} of others: {chosen.preset}, {animator.dtype}")
    ours, theirs = ([act(animator, *pair, settings) for pair in _pairs(some, clips)] for some in (own, others))
    if chosen.pictures is not None:
        chosen.pictures.mkdir(parents=True, exist_ok=True)
        for name, sitters, made in (("self", own, ours), ("cross", others, theirs)):
            for number, (sitter, clip, (frames, _)) in enumerate(zip(sitters, clips, made, strict=False)):
                Image.fromarray(sheet(sitter, clip, frames)).save(chosen.pictures / f"{name}-{number:02}.png")
    selves = _looks(own, clips, [frames for frames, _ in ours])
    crosses = _acts(clips, [frames for frames, _ in theirs], witness, galleries)
    seconds = [taken / chosen.frames for _, taken in ours + theirs]
    first = min(chosen.ablated, chosen.clips, chosen.pairs)
    cases = {
        "self-reenactment": Case(
            {**selves.figures, **AIMS, "frame_seconds": median(seconds)}, {**selves.samples, "frame_seconds": seconds}
        ),
        "cross-reenactment": Case({**crosses.figures, **CROSS_AIMS}, crosses.samples),
        "full model": _both(own, clips, [ours[:first], theirs[:first]], witness, galleries),
    }
    few = own[:first], others[:first]
    for what in (BANK, INTENSITY, ADAPTERS, MOTION):
        tell(f"{first} clips of themselves and of others: {what}")
        again = [[act(animator, *pair, settings, what) for pair in _pairs(who, clips)] for who in few]
        cases[what] = _both(own, clips, again, witness, galleries)
    ablated = max(cases[what].number("psnr_db") for what in (BANK, INTENSITY, ADAPTERS, MOTION))
    cases |= _ways(chosen, animator, own[: chosen.timed], clips)
    checks = {
        "self_reenactment_psnr_db": Check.at_least(selves.number("psnr_db"), 22.0),
        "self_reenactment_ssim": Check.at_least(selves.number("ssim"), 0.80),
        "db_above_showing_the_still_portrait": Check.at_least(selves.number("gain_db"), 3.0),
        **{f"cross_reenactment_{name}": Check.at_least(crosses.number(name), least) for name, least in LEAST.items()},
        "identity_found_among_100_share": Check.at_least(crosses.number("found_share"), 0.8),
        "full_model_over_the_best_ablation_db": Check.at_least(cases["full model"].number("psnr_db") - ablated, 0.0),
        "sampling_steps": Check.at_most(settings.steps, STEPS),
        "minutes": Check.at_most((time.perf_counter() - since) / 60, MINUTES),
    }
    return Findings(cases, checks)


def act(
    animator: Animator, sitter: Sitter, clip: Clip, settings: SamplerSettings, without: str = ""
) -> tuple[Picture, float]:
    """The frames (F, S, S, 3), and the seconds they took; `without` a part of the model, if one is named."""
    appearance, motion = sitter.appearance, clip.motion
    if without == INTENSITY:
        motion = replace(motion, intensity=torch.tensor(TYPICAL).repeat(len(motion.intensity), 1))
    if without == MOTION:
        settings = replace(settings, motion_guidance=(0.0, 0.0))
    with _disabled(animator, without):
        if without == ADAPTERS:
            appearance = animator.encode_appearance(sitter.portrait)
        since = time.perf_counter()
        frames = np.stack(list(animator.animate(appearance, motion, settings)))
        return frames, time.perf_counter() - since


def sheet(sitter: Sitter, clip: Clip, made: Picture) -> Picture:
    """The portrait, and some frames of the clip above the same ones of the output."""
    shown = np.unique(np.linspace(0, len(made) - 1, SHOWN).round().astype(int))
    crop = sitter.portrait.crop
    rows = [crop, *clip.heads[shown]], [np.full_like(crop, 255), *made[shown]]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


@contextmanager
def _disabled(animator: Animator, part: str) -> Iterator[None]:
    """The animator without its memory bank or its adapters, for a while."""
    networks = animator._networks  # nobody else needs to reach into them
    bank, blocks = networks.refiner.connector, list[Any](networks.transformer.blocks)
    latents, adapters = bank.latents, [block.adapter for block in blocks]
    if part == BANK:
        bank.latents = torch.nn.Parameter(torch.zeros_like(latents), requires_grad=False)
    for block in blocks if part == ADAPTERS else ():
        block.adapter = None
    try:
        yield
    finally:
        bank.latents = latents
        for block, adapter in zip(blocks, adapters, strict=True):
            block.adapter = adapter


def _pairs(sitters: Sequence[Sitter], clips: Sequence[Clip]) -> Iterator[tuple[Sitter, Clip]]:
    return zip(sitters, clips, strict=False)


def _looks(sitters: Sequence[Sitter], clips: Sequence[Clip], made: Sequence[Picture]) -> Case:
    """How near outputs are to their clips, without the first frame, which is the portrait itself."""
    samples: dict[str, list[float]] = {name: [] for name in ("psnr_db", "ssim", "still_psnr_db", "still_ssim")}
    for sitter, clip, frames in zip(sitters, clips, made, strict=False):
        truth, still = clip.heads[1:], np.broadcast_to(sitter.portrait.crop, clip.heads[1:].shape)
        for prefix, shown in (("", frames[1:]), ("still_", still)):
            samples[f"{prefix}psnr_db"].append(psnr(shown, truth))  # of the error of all frames together
            samples[f"{prefix}ssim"].append(fmean(ssim(*pair) for pair in zip(shown, truth, strict=True)))
    both = zip(samples["psnr_db"], samples["still_psnr_db"], strict=True)
    samples["gain_db"] = [ours - theirs for ours, theirs in both]
    return Case({name: fmean(values) for name, values in samples.items()}, samples)


def _acts(clips: Sequence[Clip], made: Sequence[Picture], witness: Witness, galleries: Sequence[Floats]) -> Case:
    """What the witness reads in outputs, against the truth, and whom it takes them for."""
    shown = clips[: len(made)]
    read, ceiling = witness.read(np.concatenate(made)), witness.read(np.concatenate([clip.heads for clip in shown]))
    true = {name: np.concatenate([clip.said[name] for clip in shown]) for name in TOLD}
    figures: dict[str, float] = {name: _correlation(read[name], true[name]) for name in TOLD}
    figures |= {f"{name}_of_the_clip": _correlation(ceiling[name], true[name]) for name in TOLD}
    figures |= {f"{name}_reach": float(np.polyfit(true[name], read[name], 1)[0]) for name in TOLD}
    samples = {name: read[name].tolist() for name in TOLD} | {f"{name}_true": true[name].tolist() for name in TOLD}
    vectors = np.stack([witness.identify(frames).mean(axis=0) for frames in made])
    for name, gallery in zip(("found", "found_elsewhere"), galleries, strict=True):
        samples[name] = ((vectors @ gallery.T).argmax(axis=1) == np.arange(len(made))).astype(float).tolist()
        figures[f"{name}_share"] = fmean(samples[name])
    return Case(figures, samples)


def _both(
    sitters: Sequence[Sitter],
    clips: Sequence[Clip],
    made: Sequence[Sequence[tuple[Picture, float]]],
    witness: Witness,
    galleries: Sequence[Floats],
) -> Case:
    """Self- and cross-reenactment of an ablation, from what was made of either."""
    ours, theirs = ([frames for frames, _ in results] for results in made)
    looks, acts = _looks(sitters, clips, ours), _acts(clips, theirs, witness, galleries)
    figures = {name: looks.figures[name] for name in ("psnr_db", "ssim", "gain_db")}
    figures |= {name: acts.figures[name] for name in (*TOLD, "found_share", "found_elsewhere_share")}
    return Case(figures, {**looks.samples, **acts.samples})


def _ways(chosen: Namespace, animator: Animator, sitters: Sequence[Sitter], clips: Sequence[Clip]) -> dict[str, Case]:
    """Quality and seconds by `WAYS`, which take turns."""
    loaded = {str(animator.dtype).removeprefix("torch."): animator}
    for dtype in {way.dtype for way in WAYS.values()} - set(loaded):
        loaded[dtype] = load(chosen.weights, chosen.device, dtype)
    made: dict[str, list[tuple[Picture, float]]] = {name: [] for name in WAYS}
    for number, pair in enumerate(_pairs(sitters, clips)):
        tell(f"clip {number} in {len(WAYS)} ways")
        for name, way in WAYS.items():
            able = loaded[way.dtype]
            budget, able.budget = able.budget, replace(able.budget, **way.budget)
            made[name].append(act(able, *pair, way.settings(chosen.steps)))
            able.budget = budget
    exact = [frames for frames, _ in next(iter(made.values()))]
    cases = {}
    for name, results in made.items():
        looks = _looks(sitters, clips, [frames for frames, _ in results])
        samples = {key: looks.samples[key] for key in ("psnr_db", "ssim")}
        samples["psnr_to_exact_db"] = [psnr(frames, best) for (frames, _), best in zip(results, exact, strict=True)]
        seconds = [taken / chosen.frames for _, taken in results]
        figures = {"frame_seconds": median(seconds), **{key: fmean(values) for key, values in samples.items()}}
        cases[name] = Case(figures, {"frame_seconds": seconds, **samples})
    return cases


def _correlation(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _settings(name: str, steps: int | None) -> SamplerSettings:
    chosen = preset(name)
    return replace(chosen, steps=steps or chosen.steps)


def parser() -> ArgumentParser:
    """What the command takes."""
    options = arguments(__doc__)
    options.add_argument(
        "--weights", type=Path, default=SHIPPED_WEIGHTS, metavar="DIR", help="instead of the shipped ones"
    )
    options.add_argument("--witness", type=Path, default=FILE, metavar="FILE", help="instead of bench's own")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--dtype", default="auto", choices=("auto", *DTYPES), help="of all but the ways")
    options.add_argument("--preset", default="sketch", choices=PRESETS, help="of all but the ways")
    options.add_argument("--steps", type=positive, metavar="N", help="of all presets, instead of their own")
    counts = {"clips": 32, "pairs": 32, "frames": 25, "ablated": 8, "timed": 5}
    helps = ("that drive their own first frame", "of a stranger and a clip", "of a clip", "pairs", "clips in all ways")
    for (name, count), words in zip(counts.items(), helps, strict=True):
        options.add_argument(f"--{name}", type=positive, default=count, metavar="N", help=f"{words} (default {count})")
    options.add_argument("--pictures", type=Path, metavar="FOLDER", help="to save a picture of each output in")
    return options


if __name__ == "__main__":
    main("miniature", parser(), measure)

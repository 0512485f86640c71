"""The sync check and the stretching of motion, on renders of the miniature whose truth is known.

  offsets   strangers' portraits act drawn clips: their voices, moved by -8 to +8 frames, against the renders' mouths.
  pairs     each render with the voice of its clip, spoken by several people, and with as many other clips' voices.
  stretch   the motion of a few clips, slower and faster: what `bench.support.judge` reads in the renders, correlated
            with the resampled truth, beside the same without stretching.

The voices of one render are not independent of each other: the result holds for as many renders.
"""

from __future__ import annotations

import time
import wave
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.support.judge import open_judge
from bench.support.reenactment import FRAME_RATE, EncodedClip, EncodedPortrait, animate, encode_clip, encode_stranger
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from models.animator import Animator, load
from models.faces import FaceDetector, open_detector
from models.miniature import FIRST_HELD_OUT_SEED, SHIPPED_WEIGHTS
from models.motion.resample import resample_positions, resample_shots
from models.synthetic.voice import synthesise_voice
from models.weights import detector_file
from tasks.media import AudioSource, find_audio
from tasks.media.sound.envelope import speech_envelope
from tasks.quality.mouth import TrackedMouth
from tasks.quality.sync import Sync, measure_sync
from troupe import LARGEST, PRESETS, Floats, Picture, SamplerSettings, preset
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "parser"]

MAX_SHIFT = 8
"""Frames by which voices are moved, either way."""
SAMPLE_RATE = 16_000
RATIOS = (0.87, 1.15)
"""Lengths of the stretched motion, as shares of the clip's: about the limits of `stretch_limit`."""
STRETCHED = ("yaw", "pitch", "roll", "mouth")
MIN_FOUND, MIN_AUC, MAX_LOSS = 0.9, 0.9, 0.05

Series = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Render:
    """A rendered clip.

    Attributes:
        number: number of the clip.
        frames: (F, S, S, 3).
        opening: (F,) openness of the mouth, as measured.
        milliseconds: time to measure it, per frame.
    """

    number: int
    frames: Picture
    opening: Series
    milliseconds: float


def measure(args: Namespace) -> Findings:
    """Render, and compare with voices and with the truth."""
    animator, settings = load(args.weights, args.device), preset(args.preset)
    detector = open_detector(detector_file(args.weights), "cpu")
    log(f"drawing and encoding {args.pictures} clips")
    numbers = range(args.first, args.first + args.pictures)
    clips = [encode_clip(number, args.frames, animator, detector)[0] for number in numbers]
    strangers = [encode_stranger(number, animator, detector) for number in numbers]
    renders = []
    for number, stranger, clip in zip(numbers, strangers, clips, strict=True):
        log(f"rendering clip {number}")
        renders.append(_render(number, animator, detector, stranger, clip, settings))
    with scratch_folder() as folder:

        def compare(render: Render, speaker: int, performance: int, shift: int = 0) -> Sync:
            voice = _voice(speaker, performance, args.frames, shift)
            sync = measure_sync(render.opening, _envelope(folder / "voice.wav", voice, args.frames))
            assert sync is not None
            return sync

        cases = {"offsets": _offsets(renders, compare), "pairs": _pairs(renders, args.voices, compare)}
    checks = {
        "renders_with_all_offsets_found_share": Check.at_least(cases["offsets"].number("renders_share"), MIN_FOUND),
        "true_against_exchanged_auc": Check.at_least(cases["pairs"].number("auc"), MIN_AUC),
    }
    if args.stretched:
        cases["stretch"] = _stretch(animator, settings, strangers, clips, renders, args.stretched)
        for name in STRETCHED:
            loss = cases["stretch"].number(f"{name}_unstretched") - cases["stretch"].number(name)
            checks[f"{name}_correlation_lost_by_stretching"] = Check.at_most(loss, MAX_LOSS)
    return Findings(cases, checks)


def _render(
    number: int,
    animator: Animator,
    detector: FaceDetector,
    stranger: EncodedPortrait,
    clip: EncodedClip,
    settings: SamplerSettings,
) -> Render:
    def find(frame: Picture) -> Floats | None:
        faces = detector.detect(frame)
        return LARGEST.pick(faces, "the render").keypoints if faces else None

    frames, _ = animate(animator, stranger, clip, settings)
    started = time.perf_counter()
    mouth = TrackedMouth(find)
    for frame in frames:
        mouth.update(frame)
    opening = mouth.compute()
    return Render(number, frames, opening, 1000 * (time.perf_counter() - started) / len(frames))


def _offsets(renders: Sequence[Render], compare: Callable[..., Sync]) -> Case:
    """Find the offsets of moved voices."""
    shifts = range(-MAX_SHIFT, MAX_SHIFT + 1)
    errors = {
        str(render.number): [
            abs(compare(render, render.number, render.number, shift).offset_frames - shift) for shift in shifts
        ]
        for render in renders
    }
    found = {name: [float(error <= 1) for error in values] for name, values in errors.items()}
    return Case(
        {
            "renders": len(renders),
            "renders_share": float(np.mean([min(values) for values in found.values()])),
            "offsets_share": float(np.mean(list(found.values()))),
            "exact_share": float(np.mean([error == 0 for values in errors.values() for error in values])),
            "milliseconds_per_frame": float(np.median([render.milliseconds for render in renders])),
        },
        {name: [float(error) for error in values] for name, values in errors.items()},
    )


def _pairs(renders: Sequence[Render], voices: int, compare: Callable[..., Sync]) -> Case:
    """Separate true voices from exchanged ones by the confidence."""
    true, exchanged = [], []
    for render in renders:
        for voice in range(voices):
            speaker = render.number + voice
            true.append(compare(render, speaker, render.number).confidence)
            exchanged.append(compare(render, speaker, render.number + 1000 + voice).confidence)
    return Case(
        {
            "pairs": len(true),
            "auc": float(np.mean([(a > b) + 0.5 * (a == b) for a in true for b in exchanged])),
            "true_median": float(np.median(true)),
            "true_lowest": min(true),
            "exchanged_median": float(np.median(exchanged)),
            "exchanged_highest": max(exchanged),
        },
        {"true": true, "exchanged": exchanged},
    )


def _stretch(
    animator: Animator,
    settings: SamplerSettings,
    strangers: Sequence[EncodedPortrait],
    clips: Sequence[EncodedClip],
    renders: Sequence[Render],
    count: int,
) -> Case:
    """Correlate the judge's readings of stretched renders with the resampled truth."""
    judge = open_judge()
    figures, samples = {}, {}
    read: dict[str, list[Floats]] = {name: [] for name in (*STRETCHED, *(f"{name}_unstretched" for name in STRETCHED))}
    true: dict[str, list[Series]] = {name: [] for name in read}
    for number, (stranger, clip, render) in enumerate(zip(strangers, clips, renders, strict=True)):
        if number == count:
            break
        for name, values in judge.read(render.frames).items():
            if name in STRETCHED:
                read[f"{name}_unstretched"].append(values)
                true[f"{name}_unstretched"].append(np.asarray(clip.traits[name], np.float64))
        for ratio in RATIOS:
            log(f"rendering clip {render.number} at {ratio:g} of its length")
            length = len(render.frames)
            wanted = round(length * ratio)
            (motion,), _ = resample_shots([clip.motion], clip.track, wanted, window=animator.config.window)
            frames, _ = animate(animator, stranger, replace(clip, motion=motion), settings)
            positions = resample_positions(length, wanted)
            for name, values in judge.read(frames).items():
                if name in STRETCHED:
                    read[name].append(values)
                    true[name].append(np.interp(positions, np.arange(length), clip.traits[name]))
    for name in read:
        values, truth = np.concatenate(read[name]), np.concatenate(true[name])
        figures[name] = float(np.corrcoef(values, truth)[0, 1])
        samples[name], samples[f"{name}_true"] = values.tolist(), truth.tolist()
    return Case({"clips": min(count, len(renders)), **figures}, samples)


def _voice(speaker: int, performance: int, frames: int, shift: int) -> Floats:
    """Return a voice that starts some frames late; the rest is silence."""
    seeds = FIRST_HELD_OUT_SEED + speaker, FIRST_HELD_OUT_SEED + performance
    samples = synthesise_voice(*seeds, frames, FRAME_RATE, SAMPLE_RATE)
    late = round(shift * SAMPLE_RATE / FRAME_RATE)
    moved = np.zeros_like(samples)
    moved[max(late, 0) : len(samples) + min(late, 0)] = samples[max(-late, 0) : len(samples) - max(late, 0)]
    return moved


def _envelope(path: Path, samples: Floats, frames: int) -> Series:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    audio = find_audio(AudioSource(path))
    assert audio is not None
    return speech_envelope(audio, frames, Fraction(FRAME_RATE))


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument(
        "--weights", type=Path, default=SHIPPED_WEIGHTS, metavar="DIR", help="default: the shipped miniature"
    )
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--preset", default="sketch", choices=PRESETS, help="preset of the renders")
    options.add_argument("--first", type=int, default=0, metavar="N", help="number of the first clip (default 0)")
    counts = {
        "pictures": (10, "renders"),
        "voices": (4, "true and exchanged voices of each render"),
        "frames": (75, "frames of a clip"),
    }
    for name, (count, words) in counts.items():
        options.add_argument(
            f"--{name}", type=positive_int, default=count, metavar="N", help=f"{words} (default {count})"
        )
    options.add_argument("--stretched", type=int, default=3, metavar="N", help="clips to stretch (default 3)")
    return options


if __name__ == "__main__":
    main("sync", parser(), measure)

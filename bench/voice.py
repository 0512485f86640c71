"""Lips by sound: drivers whose mouth follows another performance's sound, judged on the finished pictures.

A stranger's portrait acts each drawn clip four times; `bench.support.judge` reads the mouth.

  lips=driving   the driver's own mouth, as without a voice.
  lips=sound     the mouth by the sound of another performance, which another person speaks.
  silence        the mouth by a silent sound.
  ceiling        the driver drawn with the mouth of that performance, and encoded: what the renderer would make of
                 perfect lips.

Reported of each: the correlation of the mouth with that of the sound and with the driver's own, the latter also as a
partial correlation beside the sound's, because the two are alike by chance in few pairs; the reach, by how much the
output's mouth changes when the true one changes by one; and how well eyes and head follow the driver. With --sounds,
the first clip also speaks these files, which are only looked at.

With `--keep FOLDER` frames are stored there and not made again: a run of hours can be stopped and continued.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from bench.support.judge import FILE, TRAITS, Judge, open_judge
from bench.support.reenactment import (
    FRAME_RATE,
    EncodedClip,
    EncodedPortrait,
    animate,
    contact_sheet,
    encode_clip,
    encode_gallery,
    encode_stranger,
)
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from bench.support.speech import DrawnSpeech, draw_speech, speaking_clip
from bench.support.stored_frames import stored_frames
from models.animator import Animator, load
from models.faces import FaceDetector, open_detector, track_face
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, SHIPPED_WEIGHTS, Identity, Performance, render
from models.training.voice.world import speaking
from models.voice import VoiceNetwork
from models.weights import detector_file, load_voice
from tasks.media import AudioSource, find_audio
from tasks.media.sound import mono_blocks
from troupe import LARGEST, PRESETS, Floats, Picture, SamplerSettings, preset

__all__ = ["measure", "parser"]

DRIVING, SOUND, SILENCE, CEILING = "lips=driving", "lips=sound", "silence", "ceiling"
DRIVERS_OWN = ("yaw", "pitch", "roll", "eyes")
AIMS = {"mouth_of_the_sound_aim": 0.85, "reach_aim": 0.9}
MAX_SHIFT = 6
"""Frames by which the mouth is moved, either way, to find its offset to the sound."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A driver, the portrait that acts, and what it says.

    Attributes:
        speech: the sound that it speaks.
        ceiling: the driver who truly speaks it.
    """

    clip: EncodedClip
    stranger: EncodedPortrait
    speech: DrawnSpeech
    ceiling: EncodedClip


def measure(args: Namespace) -> Findings:
    """Encode, exchange lips, animate and judge."""
    started = time.perf_counter()
    judge, voice = open_judge(args.judge), load_voice(args.weights if args.voice is None else args.voice)
    animator, settings = load(args.weights, args.device), preset(args.preset)
    if args.steps:
        settings = replace(settings, steps=args.steps)
    detector = open_detector(detector_file(args.weights), "cpu")
    log(f"drawing and encoding {args.pairs} pairs")
    pairs = [_pair(number, args.frames, animator, detector) for number in range(args.pairs)]
    outputs: dict[str, list[Picture]] = {name: [] for name in (DRIVING, SOUND, SILENCE, CEILING)}
    for number, pair in enumerate(pairs):
        log(f"rendering pair {number}")
        for name, frames in _renders(number, pair, animator, voice, args, settings).items():
            outputs[name].append(frames)
        if args.pictures is not None:
            _save(args.pictures, number, pair, {name: frames[-1] for name, frames in outputs.items()})
    if args.sounds:
        _speak_files(args, pairs, animator, voice, settings)
    gallery = encode_gallery(judge, False)
    cases = {name: _judged(judge, gallery, pairs, frames) for name, frames in outputs.items()}
    spoken, driven = cases[SOUND], cases[DRIVING]
    lost = {name: driven.number(name) - spoken.number(name) for name in DRIVERS_OWN}
    figures = {**spoken.figures, **AIMS, **{f"{name}_lost": value for name, value in lost.items()}}
    cases[SOUND] = Case(figures, spoken.samples)
    checks = {
        "mouth_of_the_sound": Check.at_least(spoken.number("mouth_of_the_sound"), 0.65),
        "reach": Check.at_least(spoken.number("reach"), 0.7),
        "mouth_of_the_driver": Check.at_most(spoken.number("mouth_of_the_driver"), 0.2),
        **{f"{name}_lost": Check.at_most(value, 0.05) for name, value in lost.items()},
        "identity_lost_share": Check.at_most(driven.number("found_share") - spoken.number("found_share"), 0.02),
        "mouth_in_silence": Check.at_most(cases[SILENCE].number("mouth_mean"), 0.08),
        "offset_frames": Check.at_most(abs(spoken.number("offset_frames")), 1),
    }
    log(f"{(time.perf_counter() - started) / 60:.1f} minutes")
    return Findings(cases, checks)


def _pair(number: int, frames: int, animator: Animator, detector: FaceDetector) -> Pair:
    clip, _ = encode_clip(number, frames, animator, detector)
    speech = draw_speech(number, frames)
    own = Performance.from_seed(FIRST_HELD_OUT_SEED + number, frames, FRAME_RATE).moments
    person = Identity.from_seed(FIRST_HELD_OUT_SEED + number)
    pictures = [render(person, moment, CLIP_SIZE)[0] for moment in speaking(own, speech.moments)]
    track = track_face(pictures, detector, LARGEST, f"clip {number}")
    ceiling = replace(clip, motion=animator.encode_motion(pictures, track), track=track)
    return Pair(clip, encode_stranger(number, animator, detector), speech, ceiling)


def _renders(
    number: int, pair: Pair, animator: Animator, voice: VoiceNetwork, args: Namespace, settings: SamplerSettings
) -> dict[str, Picture]:
    def speaking_as(samples: Floats) -> EncodedClip:
        return speaking_clip(pair.clip, voice, lambda: [samples], window=animator.config.window)

    clips = {
        DRIVING: lambda: pair.clip,
        SOUND: lambda: speaking_as(pair.speech.samples),
        SILENCE: lambda: speaking_as(np.zeros_like(pair.speech.samples)),
        CEILING: lambda: pair.ceiling,
    }
    folder = args.keep and args.keep / f"{args.preset}-{args.frames}"
    return {
        name: stored_frames(
            folder and folder / f"{number:02}-{name}.npy",
            lambda clip=clip: animate(animator, pair.stranger, clip(), settings)[0],  # type: ignore[misc]
        )
        for name, clip in clips.items()
    }


def _judged(judge: Judge, gallery: Floats, pairs: Sequence[Pair], outputs: Sequence[Picture]) -> Case:
    """Compare the judge's readings with the truth of driver and sound."""
    read = [judge.read(frames) for frames in outputs]
    true = {name: np.concatenate([pair.clip.traits[name] for pair in pairs]) for name in TRAITS}
    found = {name: np.concatenate([one[name] for one in read]) for name in TRAITS}
    spoken = np.concatenate([pair.speech.mouth for pair in pairs])
    vectors = np.stack([judge.identify(frames).mean(axis=0) for frames in outputs])
    known = ((vectors @ gallery.T).argmax(axis=1) == np.arange(len(outputs))).astype(float)
    offsets = [_offset(one["mouth"], pair.speech.mouth) for one, pair in zip(read, pairs, strict=True)]
    figures = {
        "mouth_of_the_sound": _correlation(found["mouth"], spoken),
        "reach": float(np.polyfit(spoken, found["mouth"], 1)[0]),
        "mouth_of_the_driver": _correlation(found["mouth"], true["mouth"]),
        "mouth_of_the_driver_beside_the_sound": _beside(found["mouth"], true["mouth"], spoken),
        "reach_of_the_driver": float(np.polyfit(true["mouth"], found["mouth"], 1)[0]),
        "mouth_mean": float(found["mouth"].mean()),
        **{name: _correlation(found[name], true[name]) for name in DRIVERS_OWN},
        "found_share": float(known.mean()),
        "offset_frames": float(np.median(offsets)),
        "offset_within_1_share": float(np.mean(np.abs(offsets) <= 1)),
    }
    samples = {name: values.tolist() for name, values in found.items()}
    samples |= {f"{name}_true": values.tolist() for name, values in true.items()}
    return Case(figures, samples | {"spoken": spoken.tolist(), "offsets": [float(offset) for offset in offsets]})


def _offset(mouth: Floats, spoken: Floats) -> int:
    """Return by how many frames the mouth comes after the sound, at the best correlation."""

    def moved(shift: int) -> float:
        late = mouth[max(shift, 0) : len(mouth) + min(shift, 0)]
        early = spoken[max(-shift, 0) : len(spoken) + min(-shift, 0)]
        return _correlation(late, early)

    return max(range(-MAX_SHIFT, MAX_SHIFT + 1), key=lambda shift: (moved(shift), -abs(shift)))


def _beside(one: Floats, other: Floats, common: Floats) -> float:
    """Return the partial correlation of two series: of what remains when a third is accounted for."""
    left, right = (values - np.polyval(np.polyfit(common, values, 1), common) for values in (one, other))
    return _correlation(left, right)


def _correlation(one: Floats, other: Floats) -> float:
    if one.std() < 1e-6 or other.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _save(folder: Path, number: int, pair: Pair, outputs: Mapping[str, Picture]) -> None:
    """Save the portrait and the clip above the outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    sheets = [contact_sheet(pair.stranger, pair.clip, frames) for frames in outputs.values()]
    half = len(sheets[0]) // 2
    Image.fromarray(np.concatenate([sheets[0][:half], *(sheet[half:] for sheet in sheets)])).save(
        folder / f"pair-{number:02}.png"
    )


def _speak_files(
    args: Namespace, pairs: Sequence[Pair], animator: Animator, voice: VoiceNetwork, settings: SamplerSettings
) -> None:
    """Let the first clip speak the files, and save a strip of each."""
    folder, pair = args.pictures or Path(), pairs[0]
    folder.mkdir(parents=True, exist_ok=True)
    outputs = {}
    for path in args.sounds:
        audio = find_audio(AudioSource(path))
        assert audio is not None, f"{path} has no sound"
        blocks = list(mono_blocks(audio, len(pair.clip.motion) / FRAME_RATE))
        clip = speaking_clip(pair.clip, voice, lambda blocks=blocks: blocks, window=animator.config.window)  # type: ignore[misc]
        outputs[path.stem] = animate(animator, pair.stranger, clip, settings)[0]
    rows = [np.concatenate(list(frames[:: max(len(frames) // 14, 1)][:14]), axis=1) for frames in outputs.values()]
    Image.fromarray(np.concatenate(rows)).save(folder / "sounds.png")


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument(
        "--weights", type=Path, default=SHIPPED_WEIGHTS, metavar="DIR", help="default: the shipped miniature"
    )
    options.add_argument(
        "--voice", type=Path, metavar="DIR", help="weights directory with the voice; default: that of --weights"
    )
    options.add_argument("--judge", type=Path, default=FILE, metavar="FILE", help="(default: shipped)")
    options.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    options.add_argument("--preset", default="sketch", choices=PRESETS)
    options.add_argument("--steps", type=positive_int, metavar="N", help="sampler steps, instead of the preset's own")
    options.add_argument("--pairs", type=positive_int, default=32, metavar="N", help="(default 32)")
    options.add_argument("--frames", type=positive_int, default=50, metavar="N", help="per clip (default 50)")
    options.add_argument("--pictures", type=Path, metavar="FOLDER", help="save a contact sheet per pair here")
    options.add_argument("--keep", type=Path, metavar="FOLDER", help="store frames here, and reuse those stored")
    options.add_argument("--sounds", type=Path, nargs="*", default=[], metavar="FILE", help="speech to look at")
    return options


if __name__ == "__main__":
    main("voice", parser(), measure)

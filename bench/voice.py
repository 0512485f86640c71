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
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from models.animator import Animator, load
from models.faces import FaceDetector, open_detector, track_face
from models.miniature import CLIP_SIZE, FIRST_HELD_OUT_SEED, SHIPPED_WEIGHTS, Identity, Performance, render
from models.synthetic.voice import synthesise_voice
from models.training.voice.world import speaking
from models.voice import SAMPLE_RATE, VoiceNetwork, exchange_lips
from models.weights import detector_file, load_voice
from tasks.media import AudioSource, find_audio
from tasks.media.sound import mono_blocks
from troupe import LARGEST, PRESETS, Floats, Picture, SamplerSettings, preset

__all__ = ["measure", "parser"]

SPEECH = FIRST_HELD_OUT_SEED + 20_000
"""Seed of the first performance whose sound is heard, and of its speaker."""
DRIVING, SOUND, SILENCE, CEILING = "lips=driving", "lips=sound", "silence", "ceiling"
DRIVERS_OWN = ("yaw", "pitch", "roll", "eyes")
AIMS = {"mouth_of_the_sound_aim": 0.85, "reach_aim": 0.9}
MAX_SHIFT = 6
"""Frames by which the mouth is moved, either way, to find its offset to the sound."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A driver, the portrait that acts, and the sound that it speaks.

    Attributes:
        spoken: (F,) the true mouth of the sound.
        samples: (S,) the sound.
        ceiling: the driver who truly speaks it.
    """

    clip: EncodedClip
    stranger: EncodedPortrait
    spoken: Floats
    samples: Floats
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
        for name, frames in _renders(pair, animator, voice, settings).items():
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
    speech = Performance.from_seed(SPEECH + number, frames, FRAME_RATE).moments
    own = Performance.from_seed(FIRST_HELD_OUT_SEED + number, frames, FRAME_RATE).moments
    person = Identity.from_seed(FIRST_HELD_OUT_SEED + number)
    pictures = [render(person, moment, CLIP_SIZE)[0] for moment in speaking(own, speech)]
    track = track_face(pictures, detector, LARGEST, f"clip {number}")
    ceiling = replace(clip, motion=animator.encode_motion(pictures, track), track=track)
    samples = synthesise_voice(SPEECH + number, SPEECH + number, frames, FRAME_RATE, SAMPLE_RATE)
    spoken = np.array([moment.mouth for moment in speech], np.float32)
    return Pair(clip, encode_stranger(number, animator, detector), spoken, samples, ceiling)


def _renders(pair: Pair, animator: Animator, voice: VoiceNetwork, settings: SamplerSettings) -> dict[str, Picture]:
    clips = {
        DRIVING: pair.clip,
        SOUND: _speaking(pair.clip, animator, voice, lambda: [pair.samples]),
        SILENCE: _speaking(pair.clip, animator, voice, lambda: [np.zeros_like(pair.samples)]),
        CEILING: pair.ceiling,
    }
    return {name: animate(animator, pair.stranger, clip, settings)[0] for name, clip in clips.items()}


def _speaking(
    clip: EncodedClip, animator: Animator, voice: VoiceNetwork, sound: Callable[[], Iterable[Floats]]
) -> EncodedClip:
    times = np.arange(len(clip.motion)) / FRAME_RATE
    (motion,) = exchange_lips(voice, [clip.motion], times, sound, window=animator.config.window)
    return replace(clip, motion=motion)


def _judged(judge: Judge, gallery: Floats, pairs: Sequence[Pair], outputs: Sequence[Picture]) -> Case:
    """Compare the judge's readings with the truth of driver and sound."""
    read = [judge.read(frames) for frames in outputs]
    true = {name: np.concatenate([pair.clip.traits[name] for pair in pairs]) for name in TRAITS}
    found = {name: np.concatenate([one[name] for one in read]) for name in TRAITS}
    spoken = np.concatenate([pair.spoken for pair in pairs])
    vectors = np.stack([judge.identify(frames).mean(axis=0) for frames in outputs])
    known = ((vectors @ gallery.T).argmax(axis=1) == np.arange(len(outputs))).astype(float)
    offsets = [_offset(one["mouth"], pair.spoken) for one, pair in zip(read, pairs, strict=True)]
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
        clip = _speaking(pair.clip, animator, voice, lambda blocks=blocks: blocks)  # type: ignore[misc]
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
    options.add_argument("--sounds", type=Path, nargs="*", default=[], metavar="FILE", help="speech to look at")
    return options


if __name__ == "__main__":
    main("voice", parser(), measure)

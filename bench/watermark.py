"""The invisible watermark: what it survives, how often it is found where there is none, and what it costs.

Clips of drawn people, and parts of the clips in the folder that `TROUPE_SHARED` names, if it is set, are marked,
written as renders are, attacked with ffmpeg, and read. Then clips without a watermark are read, and the marked ones
with another key. `--first` continues a long measurement where another one ended.
"""

from __future__ import annotations

import itertools
import os
import secrets
import statistics
import subprocess
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from models.miniature import FIRST_HELD_OUT_SEED, Identity, Performance, render
from tasks import media
from tasks.media.watermark import Watermarker, WatermarkKey, read_watermark
from troupe import Picture
from troupe.process.scratch import scratch_folder

__all__ = ["ATTACKS", "measure", "parser"]

RATE = Fraction(25)
FRAMES = 50
ATTACKS = {
    "remux": ["-c", "copy"],
    "crf_18": ["-crf", "18"],
    "crf_23": ["-crf", "23"],
    "crf_28": ["-crf", "28"],
    "half_size": ["-vf", "scale=trunc(iw/4)*2:trunc(ih/4)*2"],
    "crop_10": ["-vf", "crop=trunc(iw*0.45)*2:trunc(ih*0.45)*2:iw*0.07:ih*0.03"],
    "brightness_5": ["-vf", "eq=brightness=0.05"],
    "screen_2_mbit": ["-vf", "scale=1280:720:force_original_aspect_ratio=decrease:force_divisible_by=2", "-b:v", "2M"],
}
"""Options of ffmpeg; x264 at CRF 23 where they say nothing else."""
MIN_RATE, MIN_CROP_RATE = 0.98, 0.9
MIN_PSNR = 42.0
MAX_MILLISECONDS = 5.0
REAL_SHARE = 4
"""Every n-th clip is a part of a real one."""


def measure(args: Namespace) -> Findings:
    """Mark, attack and read the clips of every size."""
    cases: dict[str, Case] = {}
    checks: dict[str, Check] = {}
    key, other = (WatermarkKey.of(secrets.token_bytes(32)) for _ in range(2))
    with scratch_folder() as folder:
        for side in args.sides if args.clips else ():
            case = _marked(side, args, key, other, folder)
            cases[f"{side} px"] = case
            if side == max(args.sides):
                for attack in ATTACKS:
                    least = MIN_CROP_RATE if attack.startswith("crop") else MIN_RATE
                    checks[attack] = Check.at_least(case.number(f"{attack}_share"), least)
                checks["psnr_db"] = Check.at_least(case.number("psnr_db"), MIN_PSNR)
                checks["read_with_another_key"] = Check.exactly(case.number("read_with_another_key"), 0)
                checks["milliseconds_a_frame"] = Check.at_most(case.number("milliseconds_a_frame"), MAX_MILLISECONDS)
        if args.unmarked:
            found = _unmarked(args, folder)
            cases["without a watermark"] = Case({"clips": args.unmarked, "read": found})
            checks["false_positives"] = Check.exactly(found, 0)
    return Findings(cases, checks)


def _marked(side: int, args: Namespace, key: WatermarkKey, other: WatermarkKey, folder: Path) -> Case:
    right = dict.fromkeys(ATTACKS, 0)
    qualities: list[float] = []
    costs: list[float] = []
    seconds: list[float] = []
    growth: list[float] = []
    strangers = 0
    for number in range(args.first, args.first + args.clips):
        frames = list(_clip(number, side))
        height, width = frames[0].shape[:2]
        payload = secrets.token_bytes(8)
        watermarker = Watermarker(key, payload, (width, height), RATE)
        watermarker(frames[0], 0)
        started = time.process_time()
        marked = [watermarker(frame, index) for index, frame in enumerate(frames)]
        costs.append(1000 * (time.process_time() - started) / len(frames))
        qualities.append(_psnr(frames, marked))
        video, plain = folder / "marked.mp4", folder / "plain.mp4"
        for path, pictures in ((video, marked), (plain, frames)):
            media.encode(pictures, path, rate=RATE, size=(width, height), video_format=media.h264(18, (width, height)))
        growth.append(video.stat().st_size / plain.stat().st_size - 1)
        strangers += read_watermark(video, other) is not None
        lost: list[str] = []
        for attack, options in ATTACKS.items():
            copy = folder / f"{attack}.mp4"
            command = [media.ffmpeg_binary(), "-nostdin", "-y", "-loglevel", "error", "-i", str(video), *options]
            subprocess.run([*command, str(copy)], check=True)
            started = time.perf_counter()
            found = read_watermark(copy, key)
            seconds.append(time.perf_counter() - started)
            right[attack] += found is not None and found.payload == payload.hex()
            lost += [attack] if found is None else [f"{attack} WRONG"] if found.payload != payload.hex() else []
        log(f"clip {number} at {width}x{height}: {', '.join(lost) or 'all read'}")
    return Case(
        {
            "clips": args.clips,
            **{f"{attack}_share": count / args.clips for attack, count in right.items()},
            "psnr_db": min(qualities),
            "read_with_another_key": strangers,
            "milliseconds_a_frame": statistics.median(costs),
            "larger_file_share": statistics.median(growth),
            "seconds_to_read": statistics.median(seconds),
        },
        {"psnr_db": qualities, "milliseconds_a_frame": costs, "larger_file_share": growth},
    )


def _unmarked(args: Namespace, folder: Path) -> int:
    """Return in how many clips without a watermark one was read, each with a key of its own."""
    found = 0
    side = min(args.sides)
    for number in range(args.first, args.first + args.unmarked):
        video = folder / "unmarked.mp4"
        frames = list(_drawn(number, side, FRAMES // 2))
        media.encode(frames, video, rate=RATE, size=(side, side), video_format=media.h264(23, (side, side)))
        found += read_watermark(video, WatermarkKey.of(secrets.token_bytes(32))) is not None
        if number % 50 == 49:
            log(f"{number + 1 - args.first} clips without a watermark: {found} read")
    return found


def _clip(number: int, side: int) -> Iterator[Picture]:
    real = sorted(Path(os.environ["TROUPE_SHARED"], "media").glob("*.mp4")) if "TROUPE_SHARED" in os.environ else []
    if not real or number % REAL_SHARE:
        return _drawn(number, side, FRAMES)
    part, file = divmod(number // REAL_SHARE, len(real))
    return _real(real[file], side, 0.7 * part)


def _drawn(number: int, side: int, frames: int) -> Iterator[Picture]:
    person = Identity.from_seed(FIRST_HELD_OUT_SEED + number)
    for moment in Performance.from_seed(FIRST_HELD_OUT_SEED + number, frames, 25).moments:
        yield render(person, moment, (side, side))[0]


def _real(path: Path, side: int, start: float) -> Iterator[Picture]:
    """Yield a part of a real clip; its shorter side is `side` pixels."""
    for frame in itertools.islice(media.decode(path, start), FRAMES):
        height, width = frame.shape[:2]
        scale = side / min(height, width)
        size = round(width * scale) // 2 * 2, round(height * scale) // 2 * 2
        yield np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)


def _psnr(frames: list[Picture], marked: list[Picture]) -> float:
    squares = [np.mean(np.square(one.astype(np.float32) - other)) for one, other in zip(frames, marked, strict=True)]
    return float(10 * np.log10(255**2 / np.mean(squares)))


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--clips", type=int, default=50, metavar="N", help="marked clips of every size")
    options.add_argument("--unmarked", type=int, default=1000, metavar="N", help="clips without a watermark")
    options.add_argument("--first", type=int, default=0, metavar="N", help="number of the first clip")
    options.add_argument(
        "--sides",
        type=positive_int,
        nargs="+",
        default=[512],
        metavar="PX",
        help="shorter sides; the largest is checked",
    )
    return options


if __name__ == "__main__":
    main("watermark", parser(), measure)

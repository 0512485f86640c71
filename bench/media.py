"""From a driving clip to its crops: decoding, tracking the face and cropping, as a worker does.

The clip is scanned, decoded and tracked, then decoded again and cropped, streaming. Two ways to detect the face are
compared: near its last position, and in every whole frame. Each runs in fresh processes, in turn. Then a clip four
times as long checks that memory does not grow.

If `TROUPE_SHARED` names a folder with real media and networks, a real clip and SCRFD are the default, otherwise a drawn
clip and the miniature's detector, which looks for colours and is cheaper than a network.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from bench.support.machine import isolated, peak_memory
from bench.support.report import Case, Check, Findings, log, main, make_parser, positive_int
from models.faces import FaceDetector, clip_crops, open_detector, track_face
from models.miniature.init_weights import init_weights
from models.synthetic.world import draw_clip as drawn
from tasks import media
from troupe import LARGEST, Face, Floats, Picture
from troupe.process.scratch import scratch_folder

__all__ = ["Timing", "measure", "parser", "prepare_clip"]

SIZE = 512
IMAGE_SIZE, FACE_SIZE = 512, 224
"""Sizes of the released model."""
RATE = Fraction(25)
MIN_RATE = 100.0
"""Target in frames per second on two cores."""
MAX_GROWTH = 30e6
"""Bytes that a clip of four times the length may need more; its track alone takes 60 per frame."""
LONGER = 4


@dataclass(frozen=True)
class Timing:
    """Cost of one process.

    Attributes:
        frames: number of frames of the clip.
        scan, track, crop: seconds of decoding and counting, decoding and tracking, decoding and cropping.
        processor: processor seconds of all that, ffmpeg's included.
        gaps: number of frames without a detected face.
        peak: peak memory in bytes.
    """

    frames: int
    scan: float
    track: float
    crop: float
    processor: float
    gaps: int
    peak: int

    @property
    def seconds(self) -> float:
        """Seconds in total."""
        return self.scan + self.track + self.crop


class FullFrame:
    """A detector that always searches the whole frame."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def detect(self, picture: Picture) -> list[Face]:
        """Detect faces in the picture."""
        return self._detector.detect(picture)

    def detect_near(self, picture: Picture, _box: Floats) -> list[Face]:
        """Detect faces in the whole picture."""
        return self._detector.detect(picture)


def measure(args: Namespace) -> Findings:
    """Process the clip both ways, a few times in turn, then the long clip."""
    timings: dict[str, list[Timing]] = {"region": [], "full frame": []}
    with scratch_folder() as folder:
        detector = args.detector or _default_detector(folder)
        log("preparing the clip")
        short, long = folder / "short.mp4", folder / "long.mp4"
        prepare_clip(args.clip or _default_clip(), short, args.frames)
        prepare_clip(short, long, LONGER * args.frames)
        for run in range(args.runs):
            for way in timings:
                log(f"run {run + 1} of {args.runs}: {way}")
                timings[way].append(isolated(go_through, short, detector, way == "full frame"))
        log("the long clip")
        stretched = isolated(go_through, long, detector, False)
    cases = {way: _case(found) for way, found in timings.items()} | {"region, 4x as long": _case([stretched])}
    growth = stretched.peak - max(timing.peak for timing in timings["region"])
    checks = {
        "frames_per_second": Check.at_least(cases["region"].number("frames_per_second"), MIN_RATE),
        "memory_growth_bytes": Check.at_most(growth, MAX_GROWTH),
        "unseen_frames": Check.exactly(cases["region"].number("unseen_frames"), 0),
    }
    return Findings(cases, checks)


def go_through(clip: Path, detector_file: Path, full: bool) -> Timing:
    """Do what workers do with a clip before any network of the model."""
    cv2.setNumThreads(2)
    detector = open_detector(detector_file, "cpu")
    detector.detect(np.zeros((SIZE, SIZE, 3), dtype=np.uint8))
    started, spent = time.perf_counter(), _processor()
    frames = media.probe(clip).frames
    scanned = time.perf_counter()
    track = track_face(media.decode(clip), FullFrame(detector) if full else detector, LARGEST, clip.name)
    tracked = time.perf_counter()
    count = sum(1 for _ in clip_crops(media.decode(clip), track, IMAGE_SIZE, FACE_SIZE))
    cropped = time.perf_counter()
    assert count == frames == len(track)
    unseen = sum(stop - first for first, stop in track.gaps)
    spent = _processor() - spent
    return Timing(frames, scanned - started, tracked - scanned, cropped - tracked, spent, unseen, peak_memory())


def _processor() -> float:
    """Return the processor seconds of this process and its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def prepare_clip(source: Path | None, target: Path, frames: int) -> None:
    """Encode a clip of that many frames of 512x512: the source played back and forth, or a drawn one."""
    pictures = _to_and_fro(source) if source is not None else _drawn(frames)
    some = (cv2.resize(picture, (SIZE, SIZE)) for picture, _ in zip(pictures, range(frames), strict=False))
    media.encode((np.asarray(p, dtype=np.uint8) for p in some), target, rate=RATE, size=(SIZE, SIZE))


def _to_and_fro(source: Path) -> Iterator[Picture]:
    # Few enough to hold in memory, because a clip cannot be decoded backwards.
    held = [picture for picture, _ in zip(media.decode(source), range(100), strict=False)]
    while True:
        yield from held
        yield from reversed(held)


def _drawn(frames: int) -> Iterator[Picture]:
    return (picture for picture, _ in drawn(3, 7, frames, RATE))


def _shared(name: str) -> Path | None:
    folder = os.environ.get("TROUPE_SHARED")
    return Path(folder) / name if folder and (Path(folder) / name).is_file() else None


def _default_clip() -> Path | None:
    return _shared("media/d0.mp4")


def _default_detector(folder: Path) -> Path:
    if (real := _shared("weights/scrfd_500m_bnkps.onnx")) is not None:
        return real
    init_weights(folder / "weights", 0)
    return folder / "weights" / "detector.onnx"


def _case(timings: list[Timing]) -> Case:
    def median(name: str) -> float:
        return float(statistics.median(getattr(timing, name) for timing in timings))

    frames = timings[0].frames
    return Case(
        {
            "frames": frames,
            "frames_per_second": frames / median("seconds"),
            "scan_per_frame_seconds": median("scan") / frames,
            "track_per_frame_seconds": median("track") / frames,
            "crop_per_frame_seconds": median("crop") / frames,
            "processor_per_frame_seconds": median("processor") / frames,
            "unseen_frames": timings[0].gaps,
            "peak_memory_bytes": max(timing.peak for timing in timings),
        },
        {"seconds": [timing.seconds for timing in timings]},
    )


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("--clip", type=Path, metavar="FILE", help="clip to process, scaled to 512x512")
    options.add_argument("--detector", type=Path, metavar="FILE", help="SCRFD .onnx or YOLOv5-face .pt")
    options.add_argument("--frames", type=positive_int, default=500, metavar="N", help="frames of the clip")
    options.add_argument("--runs", type=positive_int, default=3, metavar="N", help="runs of each")
    return options


if __name__ == "__main__":
    main("media", parser(), measure)

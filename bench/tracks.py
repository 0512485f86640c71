"""Tracks of real clips, at full length and size: statistics, and a contact sheet per clip.

Each clip is decoded and tracked as in a job. `identity switches` are consecutive frames whose faces the recognition
network takes for different people. The contact sheet shows frames from the whole clip, the one with the lowest score
among them; the box is green where the face was detected, red where it is interpolated.

Clips, detector and recognition network default to those in the folder that `TROUPE_SHARED` names.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.support.report import Case, Check, Findings, log, main, make_parser
from models.faces import FaceRecogniser, open_detector, track_face
from models.faces.tracking import SAME_PERSON_COSINE
from tasks import media
from troupe import LARGEST, Floats, Picture, Track
from troupe.errors import SettingsError

__all__ = ["measure", "parser", "sheet"]

SHOWN, COLUMNS, SIDE = 12, 4, 320
SEEN, FILLED = (40, 200, 80), (230, 50, 40)


def measure(args: Namespace) -> Findings:
    """Track every clip."""
    cv2.setNumThreads(1)
    clips = args.clips or sorted(_shared("media").glob("*.mp4"))
    detector = open_detector(args.detector or _shared("weights/scrfd_500m_bnkps.onnx"), "cpu")
    recogniser = FaceRecogniser(args.recogniser or _shared("weights/mobilefacenet.onnx"))
    cases: dict[str, Case] = {}
    for clip in clips:
        log(f"tracking {clip.name}")
        info = media.probe(clip)
        track = track_face(media.decode(clip), detector, LARGEST, clip.name, recognise=recogniser)
        likenesses = list(_likenesses(clip, track, recogniser))
        lengths = [stop - first for first, stop in track.gaps]
        cases[clip.name] = Case(
            {
                "width": info.width,
                "height": info.height,
                "frames": len(track),
                "found": int((track.scores > 0).sum()),
                "gaps": len(lengths),
                "longest_gap_frames": max(lengths, default=0),
                "cuts": len(track.cuts),
                "identity_switches": sum(value < SAME_PERSON_COSINE for value in likenesses),
                "least_likeness": min(likenesses, default=1.0),
                "mean_score": track.score,
                "least_score": float(track.scores.min()),
            }
        )
        if args.pictures is not None:
            args.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(sheet(clip, track)).save(args.pictures / f"{clip.stem}.jpg", quality=85)
    checks: dict[str, Check] = {}
    if not args.clips:  # these are clean
        for name in ("gaps", "cuts", "identity_switches"):
            checks[name] = Check.exactly(sum(case.number(name) for case in cases.values()), 0)
    return Findings(cases, checks)


def _likenesses(clip: Path, track: Track, recogniser: FaceRecogniser) -> Iterator[float]:
    """Yield the cosine between each frame's face and the one before, for frames with a detected face."""

    def vectors() -> Iterator[Floats]:
        for index, frame in enumerate(media.decode(clip)):
            if track.scores[index] > 0:
                yield recogniser(frame, track.face(index))

    return (float(one @ other) for one, other in pairwise(vectors()))


def sheet(clip: Path, track: Track) -> Picture:
    """Return a contact sheet of some frames with their detections."""
    shown = {*np.linspace(0, len(track) - 1, SHOWN - 1).astype(int).tolist(), int(track.scores.argmin())}
    cells = [_drawn(frame, track, index) for index, frame in enumerate(media.decode(clip)) if index in shown]
    cells += [np.full_like(cells[0], 255)] * (-len(cells) % COLUMNS)
    return np.concatenate([np.concatenate(cells[row : row + COLUMNS], axis=1) for row in range(0, len(cells), COLUMNS)])


def _drawn(frame: Picture, track: Track, index: int) -> Picture:
    """Draw a frame, `SIDE` pixels wide, with its box, keypoints, number and score."""
    scale = SIDE / frame.shape[1]
    picture = cv2.resize(frame, (SIDE, round(frame.shape[0] * scale)), interpolation=cv2.INTER_AREA)
    colour = SEEN if track.scores[index] > 0 else FILLED
    x1, y1, x2, y2 = (round(float(value) * scale) for value in track.boxes[index])
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
    for x, y in (track.keypoints[index] * scale).round().astype(int).tolist():
        cv2.circle(picture, (x, y), 3, colour, -1)
    cv2.putText(picture, f"{index}: {track.scores[index]:.2f}", (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 2)
    return np.asarray(picture, dtype=np.uint8)


def _shared(name: str) -> Path:
    folder = os.environ.get("TROUPE_SHARED")
    if not folder:
        raise SettingsError("give clips, --detector and --recogniser, or set TROUPE_SHARED to a folder that has them")
    return Path(folder) / name


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("clips", type=Path, nargs="*", metavar="CLIP")
    options.add_argument("--detector", type=Path, metavar="FILE", help="SCRFD .onnx or YOLOv5-face .pt")
    options.add_argument("--recogniser", type=Path, metavar="FILE", help="ArcFace .onnx")
    options.add_argument("--pictures", type=Path, metavar="FOLDER", help="save a contact sheet per clip here")
    return options


if __name__ == "__main__":
    main("tracks", parser(), measure)

"""Visibility of pasting back: a contact sheet per portrait, with both blends.

A row shows the portrait with its box, the pasted crop, the result around the box, its difference from the portrait
(times eight) and a close-up of a corner of the box. The pasted crop is the portrait's own, once unchanged, where
nothing should be visible, and once a tenth darker and tinted, where a seam would be.

Then frames are pasted into a portrait of 4000x3000 pixels and encoded, some and four times as many, to check that
memory does not grow. (x264 looks some 50 frames ahead; its process' peak is reported separately.)

Portraits and detector default to those in the folder that `TROUPE_SHARED` names, otherwise to drawn portraits and the
miniature's detector.
"""

from __future__ import annotations

import os
import resource
from argparse import ArgumentParser, Namespace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from bench.support.machine import isolated, peak_memory
from bench.support.report import Case, Check, Findings, log, main, make_parser
from models.faces import FaceDetector, crop_head, head_box, make_paster, open_detector
from models.miniature import draw_portrait
from models.miniature.init_weights import init_weights
from tasks import media
from troupe import LARGEST, Picture
from troupe.faces import Floats
from troupe.job import BLENDS
from troupe.process.scratch import scratch_folder

__all__ = ["measure", "parser", "row"]

SIDE = 512
"""Pixels of the crop's sides, as in the released model."""
CELL = 360
"""Pixels of a cell's sides."""
TINT = np.array([0.9, 0.9, 0.81])
AMPLIFICATION = 8
"""Factor by which the difference is amplified."""
CLOSE_UP = 0.3
"""Size of the close-up as a share of the box's side, half of it outside the box."""
MAX_CHANGE = 1.0
"""Mean change in levels of 255 when a portrait's own crop is pasted."""
LARGE = (4000, 3000)
LONGER = 4
MAX_GROWTH = 30e6
"""Bytes that four times the frames may need more."""
MAX_STEP_SHARE = 1 / 3
"""Largest step across the mask's border, over the reference blend's."""


def measure(args: Namespace) -> Findings:
    """Paste into every portrait with every blend."""
    cases: dict[str, Case] = {}
    with scratch_folder() as name:
        detector = open_detector(args.detector or _default_detector(Path(name)), "cpu")
        for title, picture in _portraits(args.portraits).items():
            log(title)
            cases[title], sheet = _measure_portrait(picture, detector, title)
            if args.pictures is not None:
                args.pictures.mkdir(parents=True, exist_ok=True)
                Image.fromarray(sheet).save(args.pictures / f"{title}.png")
    changes = [case.number("own_crop_seamless_levels") for case in cases.values()]
    steps = [[case.number(f"tinted_step_{blend}_levels") for blend in BLENDS] for case in cases.values()]
    checks = {
        "own_crop_levels": Check.at_most(max(changes), MAX_CHANGE),
        "step_share_of_the_reference": Check.at_most(max(ours / theirs for ours, theirs in steps), MAX_STEP_SHARE),
    }
    if args.frames:
        log(f"a portrait of {LARGE[0]}x{LARGE[1]}")
        (few, _), (many, encoder) = (isolated(paste_large, factor * args.frames) for factor in (1, LONGER))
        cases["large"] = Case(
            {"frames": LONGER * args.frames, "peak_memory_bytes": many, "memory_of_the_encoder_bytes": encoder}
        )
        checks["memory_growth_bytes"] = Check.at_most(many - few, MAX_GROWTH)
    return Findings(cases, checks)


def paste_large(frames: int) -> tuple[int, int]:
    """Paste into a large portrait and encode it; return the peak bytes of this process and of ffmpeg."""
    width, height = LARGE
    picture = np.asarray(cv2.resize(draw_portrait(0)[0], LARGE, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    box = (width // 4, height // 8, width // 4 + width // 2, height // 8 + width // 2)
    paster = make_paster("seamless", picture, box)
    crop = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    with scratch_folder() as folder:
        pasted = (paster(crop) for _ in range(frames))
        media.encode(pasted, Path(folder) / "full.mp4", rate=Fraction(25), size=LARGE)
    return peak_memory(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


def _measure_portrait(picture: Picture, detector: FaceDetector, title: str) -> tuple[Case, Picture]:
    box = head_box(LARGEST.pick(detector.detect(picture), title).box, picture.shape[1], picture.shape[0])
    own = crop_head(picture, box, SIDE)
    figures: dict[str, float] = {}
    rows = []
    for what, crop in (("own_crop", own), ("tinted", np.clip(own * TINT, 0, 255).astype(np.uint8))):
        for blend in BLENDS:
            pasted = make_paster(blend, picture, box)(crop)
            if what == "own_crop":
                figures[f"own_crop_{blend}_levels"] = float(np.abs(pasted.astype(int) - picture).mean())
            else:
                figures[f"tinted_step_{blend}_levels"] = step(pasted, picture, box)
            rows.append(row(picture, box, crop, pasted, f"{what.replace('_', ' ')}, {blend}"))
    return Case(figures), np.concatenate(rows)


def step(pasted: Picture, picture: Picture, box: tuple[int, int, int, int]) -> float:
    """Return how much more the colour changes just inside the released mask's border than just outside, in levels."""
    change = pasted.astype(float) - picture
    x1, y1, x2, y2 = box
    width = max((x2 - x1) // 50, 1)
    rise = (x2 - x1) // 10

    def ring(inset: int) -> Floats:
        """Return the mean change in a ring of `width` pixels, `inset` pixels inside the box."""
        mask = np.zeros(picture.shape[:2], dtype=bool)
        mask[y1 + inset : y2 - inset, x1 + inset : x2 - inset] = True
        inner = inset + width
        mask[y1 + inner : y2 - inner, x1 + inner : x2 - inner] = False
        return np.asarray(change[mask].mean(axis=0), dtype=np.float32)

    return float(np.abs(ring(rise) - ring(0)).mean())


def row(picture: Picture, box: tuple[int, int, int, int], crop: Picture, pasted: Picture, words: str) -> Picture:
    """Join portrait, crop, result, difference and close-up, `CELL` pixels each."""
    x1, y1, x2, y2 = box
    framed = picture.copy()
    cv2.rectangle(framed, (x1, y1), (x2 - 1, y2 - 1), (255, 60, 60), max(2, picture.shape[0] // 300))
    difference = np.clip(np.abs(pasted.astype(int) - picture) * AMPLIFICATION, 0, 255).astype(np.uint8)
    margin = (x2 - x1) // 4
    around = (slice(max(y1 - margin, 0), y2 + margin), slice(max(x1 - margin, 0), x2 + margin))
    reach = round(CLOSE_UP * (x2 - x1) / 2)
    # The lower left corner: the upper ones are often the picture's own border.
    top, left = max(y2 - 2 * reach, 0), max(x1 - reach, 0)
    corner = pasted[top : y2 + reach, left : x1 + 2 * reach]
    cells = [_cell(framed), _cell(crop), _cell(pasted[around]), _cell(difference[around])]
    cells.append(_cell(corner, cv2.INTER_NEAREST))
    joined = np.concatenate(cells, axis=1)
    cv2.putText(joined, words, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 4)
    cv2.putText(joined, words, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 1)
    return joined


def _cell(picture: Picture, interpolation: int = cv2.INTER_AREA) -> Picture:
    """Fit the picture into a square of `CELL` pixels."""
    height, width = picture.shape[:2]
    scale = CELL / max(height, width)
    sides = (max(round(width * scale), 1), max(round(height * scale), 1))
    cell = np.full((CELL, CELL, 3), 255, dtype=np.uint8)
    cell[: sides[1], : sides[0]] = cv2.resize(picture, sides, interpolation=interpolation)
    return cell


def _portraits(args: list[Path]) -> dict[str, Picture]:
    folder = os.environ.get("TROUPE_SHARED")
    if not args and not folder:
        return {f"drawn-{seed}": draw_portrait(seed, (768, 960))[0] for seed in (0, 5)}
    paths = args or [
        path for path in sorted((Path(str(folder)) / "media").iterdir()) if path.suffix in (".jpg", ".png")
    ]
    return {path.stem: media.read_picture(path) for path in paths}


def _default_detector(folder: Path) -> Path:
    shared = os.environ.get("TROUPE_SHARED")
    if shared:
        return Path(shared) / "weights" / "scrfd_500m_bnkps.onnx"
    init_weights(folder / "weights", 0)
    return folder / "weights" / "detector.onnx"


def parser() -> ArgumentParser:
    """Return the command line's parser."""
    options = make_parser(__doc__)
    options.add_argument("portraits", type=Path, nargs="*", metavar="PORTRAIT")
    options.add_argument("--detector", type=Path, metavar="FILE", help="SCRFD .onnx or YOLOv5-face .pt")
    options.add_argument("--pictures", type=Path, metavar="FOLDER", help="save the contact sheets here")
    options.add_argument("--frames", type=int, default=12, metavar="N", help="frames of the large portrait; 0 skips it")
    return options


if __name__ == "__main__":
    main("paste_back", parser(), measure)

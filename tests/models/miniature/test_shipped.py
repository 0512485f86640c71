"""The miniature that comes with troupe: whole, small, as its card says, and able to show a person."""

from __future__ import annotations

import hashlib
import re

import numpy as np

from models.animator import load
from models.config import ModelConfig
from models.faces import cut_head, follow, open_detector, prepare_portrait
from models.miniature import MEASURING, SHIPPED, Identity, Performance, render
from models.miniature.model import MINIATURE
from models.weights import detector_file, inspect
from troupe import LARGEST, Picture, SamplerSettings

MOST_BYTES = 40e6


def psnr(one: Picture, other: Picture) -> float:
    return float(-10 * np.log10(np.square(one / 255.0 - other / 255.0).mean()))


def test_is_whole_and_small() -> None:
    assert [line for report in inspect(SHIPPED) for line in report.problems] == []
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*")) <= MOST_BYTES
    config = ModelConfig.read(SHIPPED)
    assert config.unet == MINIATURE.unet
    assert config.image_size == MINIATURE.image_size


def test_the_card_tells_every_file() -> None:
    """As `sha256sum` would."""
    told = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", (SHIPPED / "README.md").read_text(), re.MULTILINE))
    found = {
        hashlib.sha256(path.read_bytes()).hexdigest(): str(path.relative_to(SHIPPED))
        for path in SHIPPED.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert found == told


def test_shows_the_person_of_the_portrait_acting() -> None:
    """Nearer to their own clip than to anybody else's, and than the portrait is."""
    animator = load(SHIPPED, "cpu", "float32")
    detector = open_detector(detector_file(SHIPPED), "cpu")
    side, size = 192, animator.config.image_size
    moments = Performance.from_seed(MEASURING, 6, 6).moments
    shown, truth, still = [], [], []
    for number in (MEASURING + 1, MEASURING + 2):
        frames = [render(Identity.from_seed(number), moment, (side, side))[0] for moment in moments]
        portrait = prepare_portrait(frames[0], detector, LARGEST, size, "the portrait")
        motion = animator.encode_motion(frames, follow(frames, detector, LARGEST, "the clip"))
        acted = animator.animate(animator.encode_appearance(portrait), motion, SamplerSettings(steps=6, padding=0))
        shown.append(np.stack(list(acted)))
        truth.append(np.stack([cut_head(frame, portrait.box, size) for frame in frames]))
        still.append(np.stack([portrait.crop] * len(frames)))
    for own, other in ((0, 1), (1, 0)):
        assert psnr(shown[own], truth[own]) > psnr(shown[own], truth[other]) + 3
        assert psnr(shown[own], truth[own]) > psnr(still[own], truth[own]) + 1

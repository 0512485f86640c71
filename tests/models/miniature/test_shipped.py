"""The shipped miniature is complete and small, matches its model card, and reenacts people."""

from __future__ import annotations

import hashlib
import re

import numpy as np
import pytest

from models.animator import load
from models.config import ModelConfig
from models.faces import crop_head, open_detector, prepare_portrait, track_face
from models.miniature import FIRST_HELD_OUT_SEED, SHIPPED_WEIGHTS, Identity, Performance, render
from models.miniature.init_weights import MINIATURE_CONFIG
from models.weights import detector_file, inspect_weights
from troupe import LARGEST, Picture, SamplerSettings

MAX_BYTES = 60e6


def psnr(one: Picture, other: Picture) -> float:
    return float(-10 * np.log10(np.square(one / 255.0 - other / 255.0).mean()))


def test_the_miniature_is_complete_and_small() -> None:
    assert [line for report in inspect_weights(SHIPPED_WEIGHTS) for line in report.problems] == []
    assert sum(path.stat().st_size for path in SHIPPED_WEIGHTS.rglob("*")) <= MAX_BYTES
    config = ModelConfig.read(SHIPPED_WEIGHTS)
    assert config.unet == MINIATURE_CONFIG.unet
    assert config.image_size == MINIATURE_CONFIG.image_size


def test_the_card_lists_the_checksum_of_every_file() -> None:
    listed = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", (SHIPPED_WEIGHTS / "README.md").read_text(), re.MULTILINE))
    found = {
        hashlib.sha256(path.read_bytes()).hexdigest(): str(path.relative_to(SHIPPED_WEIGHTS))
        for path in SHIPPED_WEIGHTS.rglob("*")
        if path.is_file() and path.name != "README.md"
    }
    assert found == listed


@pytest.mark.long
def test_the_person_of_the_portrait_acts_the_clip() -> None:
    """The output is nearer to their own clip than to another person's, and nearer than the portrait is."""
    animator = load(SHIPPED_WEIGHTS, "cpu", "float32")
    detector = open_detector(detector_file(SHIPPED_WEIGHTS), "cpu")
    side, size = 192, animator.config.image_size
    moments = Performance.from_seed(FIRST_HELD_OUT_SEED, 6, 6).moments
    shown, truth, still = [], [], []
    for number in (FIRST_HELD_OUT_SEED + 1, FIRST_HELD_OUT_SEED + 2):
        frames = [render(Identity.from_seed(number), moment, (side, side))[0] for moment in moments]
        portrait = prepare_portrait(frames[0], detector, LARGEST, size, "the portrait")
        motion = animator.encode_motion(frames, track_face(frames, detector, LARGEST, "the clip"))
        acted = animator.animate(animator.encode_appearance(portrait), motion, SamplerSettings(steps=6, padding=0))
        shown.append(np.stack(list(acted)))
        truth.append(np.stack([crop_head(frame, portrait.box, size) for frame in frames]))
        still.append(np.stack([portrait.crop] * len(frames)))
    for own, other in ((0, 1), (1, 0)):
        assert psnr(shown[own], truth[own]) > psnr(shown[own], truth[other]) + 3
        assert psnr(shown[own], truth[own]) > psnr(still[own], truth[own]) + 1

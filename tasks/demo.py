"""Everything a first run needs, made on the spot: people, performances with sound, and a tiny model."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from models.miniature.voice import SAMPLE_RATE, sound
from models.miniature.weights import init_weights
from models.miniature.world import CLIP_SIZE, clip, portrait
from tasks.media import AudioSource, Note, encode

__all__ = ["prepare_demo"]

PORTRAITS = {"ruby": 0, "olive": 5}
"""Names and seeds of the people."""
CLIPS = {"hello": (3, 7, Fraction(25), 50), "laugh": (8, 11, Fraction(30000, 1001), 60)}
"""Names, and for each: the seeds of person and performance, frames a second, frames."""


def prepare_demo(folder: Path) -> tuple[Path, Path, Path]:
    """Make two portraits, two driving clips and an untrained miniature model; what is there already stays.

    Returns:
        The folders of the portraits, of the clips, and of the weights.
    """
    portraits, drivings, weights = folder / "portraits", folder / "drivings", folder / "weights"
    portraits.mkdir(parents=True, exist_ok=True)
    drivings.mkdir(parents=True, exist_ok=True)
    for name, seed in PORTRAITS.items():
        if not (path := portraits / f"{name}.png").exists():
            Image.fromarray(portrait(seed)[0]).save(path)
    for name, (person, performance, rate, frames) in CLIPS.items():
        if not (path := drivings / f"{name}.mp4").exists():
            _write_clip(path, person, performance, rate, frames)
    init_weights(weights, 0)
    return portraits, drivings, weights


def _write_clip(path: Path, person: int, performance: int, rate: Fraction, frames: int) -> None:
    voice = path.with_suffix(".wav")
    with wave.open(str(voice), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((sound(person, performance, frames, rate) * 32767).astype(np.int16).tobytes())
    try:
        pictures = (picture for picture, _ in clip(person, performance, frames, rate))
        encode(pictures, path, rate=rate, size=CLIP_SIZE, audio=AudioSource(voice), note=Note())
    finally:
        voice.unlink()

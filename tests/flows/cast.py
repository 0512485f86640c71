"""Portraits and clips of the miniature world as files."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from models.synthetic.voice import SAMPLE_RATE, synthesise_voice
from models.synthetic.world import draw_clip, draw_portrait
from tasks.media import AudioSource, encode

PERSON, PERFORMANCE = 3, 7


def write_portrait(path: Path, seed: int) -> None:
    """A person's picture."""
    Image.fromarray(draw_portrait(seed)[0]).save(path)


def write_sound(path: Path, seconds: float) -> None:
    """A person's voice."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(
            (synthesise_voice(PERSON, PERFORMANCE, round(seconds * 25), 25) * 32767).astype(np.int16).tobytes()
        )


def write_clip(path: Path, *, frames: int, rate: str, voiced: bool = True) -> None:
    """A person's performance."""
    voice = path.with_suffix(".wav")
    write_sound(voice, frames / Fraction(rate))
    pictures = (picture for picture, _ in draw_clip(PERSON, PERFORMANCE, frames, Fraction(rate)))
    audio = AudioSource(voice) if voiced else None
    encode(pictures, path, rate=Fraction(rate), size=(192, 192), audio=audio)
    voice.unlink()

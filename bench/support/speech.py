"""Other performances' sounds for the drawn clips of `bench.support.reenactment`, with their true mouths."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from bench.support.reenactment import FRAME_RATE, EncodedClip
from models.miniature import FIRST_HELD_OUT_SEED, Moment, Performance
from models.synthetic.voice import synthesise_voice
from models.voice import SAMPLE_RATE, VoiceNetwork, exchange_lips
from troupe import Floats

__all__ = ["DrawnSpeech", "draw_speech", "speaking_clip"]

SPEECH = FIRST_HELD_OUT_SEED + 20_000
"""Seed of the first performance whose sound is heard, and of its speaker."""


@dataclass(frozen=True, eq=False)
class DrawnSpeech:
    """What another person says.

    Attributes:
        moments: the performance of this person, one moment per frame.
        mouth: (F,) its true mouth.
        samples: (S,) its sound.
    """

    moments: tuple[Moment, ...]
    mouth: Floats
    samples: Floats


def draw_speech(number: int, frames: int) -> DrawnSpeech:
    """Return the sound for the clip of this number."""
    moments = Performance.from_seed(SPEECH + number, frames, FRAME_RATE).moments
    samples = synthesise_voice(SPEECH + number, SPEECH + number, frames, FRAME_RATE, SAMPLE_RATE)
    return DrawnSpeech(moments, np.array([moment.mouth for moment in moments], np.float32), samples)


def speaking_clip(
    clip: EncodedClip, voice: VoiceNetwork, sound: Callable[[], Iterable[Floats]], *, window: int
) -> EncodedClip:
    """Return the clip with lips by a sound; see `exchange_lips`."""
    times = np.arange(len(clip.motion)) / FRAME_RATE
    (motion,) = exchange_lips(voice, [clip.motion], times, sound, window=window)
    return replace(clip, motion=motion)

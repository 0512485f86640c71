"""Sounds of known properties, (samples, channels) float, for tests of loudness."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pyloudnorm  # type: ignore[import-untyped]
from numpy.typing import NDArray
from scipy.signal import resample_poly

from models.synthetic.voice import synthesise_voice
from tests.clips import make

Sound = NDArray[np.float64]
RATE = 48_000
SECONDS = 4.0


def tone(seconds: float = SECONDS, rate: int = RATE, level: float = 0.1, pitch: float = 997.0) -> Sound:
    """A tone that sets in and ends within 5 ms: how far a sudden one overshoots depends on the resampler."""
    at = np.arange(round(seconds * rate)) / rate
    fade = np.clip(np.minimum(at, seconds - at) / 0.005, 0, 1)
    return (level * fade * np.sin(2 * np.pi * pitch * at))[:, None]


def noise(seconds: float = SECONDS, channels: int = 2, level: float = 0.05, rate: int = RATE) -> Sound:
    return level * np.random.default_rng(channels).standard_normal((round(seconds * rate), channels))


def speech(seconds: float = SECONDS, rate: int = RATE) -> Sound:
    frames = round(seconds * 25)
    return synthesise_voice(3, 5, frames, 25, rate).astype(np.float64)[:, None]


def clicks(seconds: float = SECONDS) -> Sound:
    """Clicks at full scale over soft noise: what a limiter cannot make loud."""
    sound = noise(seconds, 1, 1e-4)
    sound[RATE // 4 :: RATE // 2] = 0.9
    return sound


def surround(seconds: float = SECONDS) -> Sound:
    """Speech in the centre, noise around, and a tone of low frequency."""
    sound = noise(seconds, 6, 0.02)
    sound[:, 2:3] += speech(seconds)
    sound[:, 3:4] = tone(seconds, level=0.1, pitch=50.0)
    return sound


def swelling(seconds: float = SECONDS) -> Sound:
    """Noise that grows by 40 dB."""
    sound = noise(seconds, 2, 0.2)
    return sound * np.geomspace(0.01, 1, len(sound))[:, None]


def on_the_left(sound: Sound) -> Sound:
    return np.concatenate([sound, np.zeros_like(sound)], axis=1)


SOUNDS: dict[str, tuple[Sound, int]] = {
    "tone": (tone(), RATE),
    "noise": (noise(), RATE),
    "speech": (speech(), RATE),
    "quiet": (speech() * 0.01, RATE),
    "clipped": (np.clip(speech() * 8, -1, 1), RATE),
    "telephone": (speech(rate=8000), 8000),
    "surround": (surround(), RATE),
    "swelling": (swelling(), RATE),
    "high": (tone(pitch=15_000.0, rate=44_100, level=0.5), 44_100),
    "left": (on_the_left(speech()), RATE),
    "short": (tone(0.5), RATE),
    "over": (noise(level=0.9), RATE),
}
"""Sounds by name, and their samples per second."""


def write_sound(path: Path, sound: Sound, rate: int = RATE, *options: str) -> Path:
    """Write a sound by ffmpeg alone, in floating point where the format has it."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[sound.shape[1]]
    source = ["-f", "f32le", "-ar", str(rate), "-ch_layout", layout, "-i", "pipe:0"]
    codec = options or (("-c:a", "pcm_f32le") if path.suffix == ".wav" else ())
    return make(path, *source, *codec, feed=sound.astype("<f4").tobytes())


def read_sound(path: Path) -> tuple[Sound, int]:
    """Decode the first audio stream, by another decoder than the one that is tested."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="dblp", layout=stream.layout)
        frames = [part for frame in container.decode(stream) for part in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1).T, frames[0].sample_rate


def pyloudnorm_of(sound: Sound, rate: int) -> float:
    """Integrated loudness by pyloudnorm, LUFS; six channels are 5.1, whose fourth does not count."""
    counted = sound[:, [0, 1, 2, 4, 5]] if sound.shape[1] == 6 else sound
    at_48_khz = resample_poly(counted, RATE, rate, axis=0)
    return float(pyloudnorm.Meter(RATE).integrated_loudness(at_48_khz))


def true_peak(sound: Sound) -> float:
    """True peak at four times the sample rate, dBTP."""
    return float(20 * np.log10(np.abs(resample_poly(sound, 4, 1, axis=0)).max()))

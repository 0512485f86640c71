"""Films of one picture in several languages: each sounds a tone of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.clips import make, make_clip, numbered

TONES: Mapping[str, int] = {"en": 440, "fr": 1000, "pt-BR": 2200}
"""Hertz by language."""


def write_picture(path: Path, frames: int = 50, keyframes: int = 25, size: int = 64) -> Path:
    """Write a picture without sound, 25 frames per second, with frames out of order and a keyframe every second."""
    options = ("-g", str(keyframes), "-sc_threshold", "0", "-bf", "2")
    return make_clip(path, numbered(frames, size, size), Fraction(25), *options)


def write_film(path: Path, picture: Path, pitch: int = 440, *, channels: int = 1, codec: str = "aac") -> Path:
    """Write a film of a picture with a tone."""
    with av.open(str(picture)) as container:
        seconds = float((container.duration or 0) / av.time_base)
    tone = f"sine=frequency={pitch}:sample_rate=48000:duration={seconds}"
    sound = ["-f", "lavfi", "-i", tone, "-c:a", codec, "-ac", str(channels)]
    return make(path, "-i", str(picture), *sound, "-c:v", "copy", "-fflags", "+bitexact", "-flags:a", "+bitexact")


def write_films(folder: Path, languages: Iterable[str] = TONES, frames: int = 50) -> dict[str, Path]:
    """Write films of one picture by language."""
    picture = write_picture(folder / "picture.mp4", frames)
    return {language: write_film(folder / f"{language}.mp4", picture, TONES[language]) for language in languages}


def write_subtitles(folder: Path, languages: Iterable[str] = TONES) -> dict[str, Path]:
    """Write WebVTT files of two cues by language."""
    paths = {language: folder / f"{language}.vtt" for language in languages}
    for language, path in paths.items():
        path.write_text(
            f"WEBVTT\n\n00:00:00.200 --> 00:00:00.800\nHello in <i>{language}</i>\n\n"
            f"00:00:01.000 --> 00:00:01.600\nTwo lines &amp;\nmore in {language}\n"
        )
    return paths


def stream_md5(path: Path, kind: str, number: int = 0) -> str:
    """Return the MD5 of the packets of a stream."""
    with av.open(str(path)) as container:
        stream = [stream for stream in container.streams if stream.type == kind][number]
        return hashlib.md5(b"".join(bytes(packet) for packet in container.demux(stream))).hexdigest()


def pitch_of(path: Path, number: int = 0) -> float:
    """Return the strongest frequency of an audio stream, hertz."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(stream)])
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
        return float(np.argmax(spectrum) * stream.rate / len(sound))

"""Generate clips of known content: each frame shows its number, and sound marks moments."""

from __future__ import annotations

import struct
import subprocess
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import ImageCms

from tasks.media import ffmpeg_binary
from troupe import Picture

WIDTH, HEIGHT = 64, 48
BITS = 8
SAMPLE_RATE = 44100


def numbered(count: int, width: int = WIDTH, height: int = HEIGHT) -> Iterator[Picture]:
    """Frames that show their number as `BITS` black and white bars, lowest bit on the left."""
    for number in range(count):
        bits = (number >> np.arange(BITS)) & 1
        row = np.repeat(bits * 255, -(-width // BITS))[:width].astype(np.uint8)
        yield np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_of(frame: Picture) -> int:
    """The number that a frame shows."""
    step = frame.shape[1] // BITS
    bars = frame[:, step // 2 :: step].mean((0, 2))[:BITS] > 128
    return int((bars << np.arange(BITS)).sum())


def numbers(frames: Iterable[Picture]) -> list[int]:
    return [number_of(frame) for frame in frames]


def flash(count: int, at: int, length: int = 2) -> Iterator[Picture]:
    """Black frames, white for `length` of them from frame `at`."""
    for number in range(count):
        yield np.full((HEIGHT, WIDTH, 3), 255 if at <= number < at + length else 0, np.uint8)


def beep(seconds: float, at: float, length: float = 0.1) -> NDArray[np.float64]:
    """Silence with a tone from `at`, mono, -1..1."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return np.where((times >= at) & (times < at + length), 0.8 * np.sin(2 * np.pi * 1000 * (times - at)), 0.0)


def make(path: Path, *arguments: str, feed: bytes = b"") -> Path:
    """Run ffmpeg by itself to make a file."""
    ran = subprocess.run(
        [ffmpeg_binary(), "-y", "-loglevel", "error", *arguments, f"file:{path}"], input=feed, capture_output=True
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return path


def make_clip(
    path: Path,
    frames: Iterable[Picture],
    rate: Fraction = Fraction(25),
    *options: str,
    sound: NDArray[np.float64] | None = None,
    sound_offset: float = 0.0,
) -> Path:
    """Frames and sound as a clip, by ffmpeg alone, not by the encoder that is tested with it."""
    pictures = list(frames)
    height, width = pictures[0].shape[:2]
    arguments = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "pipe:0"]
    if sound is not None:
        file = path.with_name(f"{path.name}.wav")
        write_wave(file, sound)
        arguments += ["-itsoffset", str(sound_offset), "-i", str(file)]
    codec = [] if "-c:v" in options else ["-c:v", "libx264", "-crf", "12"]
    pixels = [] if "-pix_fmt" in options else ["-pix_fmt", "yuv420p"]
    return make(path, *arguments, *codec, *pixels, *options, feed=b"".join(p.tobytes() for p in pictures))


def write_wave(path: Path, sound: NDArray[np.float64]) -> None:
    """Write samples, or (samples, channels), as a 16-bit WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if sound.ndim == 1 else sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())


def counted_by_pyav(path: Path) -> int:
    """Frames that decode, by another decoder than the one that is tested."""
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def flash_time(path: Path) -> float:
    """When the first bright frame is shown, seconds on the container's clock."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.to_ndarray(format="gray").mean() > 128:
                assert frame.time is not None
                return frame.time
    raise AssertionError("no flash")


def sound_of(path: Path) -> tuple[NDArray[np.float64], float, int]:
    """Return the samples of the first channel, the time of the first one in seconds, and the samples per second."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([_first_channel(frame) for frame in frames])
    begin = frames[0].time
    assert begin is not None
    return samples, begin, frames[0].sample_rate


def beep_time(path: Path) -> float:
    """When the tone sets in, seconds on the container's clock."""
    samples, begin, rate = sound_of(path)
    return begin + int(np.argmax(np.abs(samples) > 0.3)) / rate


def colour_patches() -> Picture:
    """Flat patches of random colours, large enough for 4:2:0."""
    colours = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    return np.repeat(np.repeat(colours, HEIGHT // 3, 0), WIDTH // 4, 1)


def quadrants(number: int, size: tuple[int, int]) -> Picture:
    """Return a picture of four flat colours; the lightness of the first one encodes the frame's number."""
    width, height = size
    picture = np.empty((height, width, 3), dtype=np.uint8)
    halves = (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
    fields = [(40 + 12 * number,) * 3, (170, 70, 60), (60, 140, 80), (80, 90, 170)]
    for index, colour in enumerate(fields):
        picture[halves[0][index // 2], halves[1][index % 2]] = colour
    return picture


def quadrant_colours(picture: Picture) -> np.ndarray:
    """Return the colours at the centres of the four quadrants, shape (4, 3)."""
    height, width = picture.shape[:2]
    return np.array([picture[height * y // 4, width * x // 4] for y in (1, 3) for x in (1, 3)], dtype=int)


_BEFORE: set[int] = set()


def remember_children() -> None:
    """What runs now, as the session's servers do, is not for `children` to count."""
    _BEFORE.clear()
    _BEFORE.update(_all_children())


def children() -> set[int]:
    """Processes started by this one since `remember_children` that have not ended."""
    return _all_children() - _BEFORE


def _all_children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


def _first_channel(frame: av.AudioFrame) -> NDArray[np.float64]:
    samples = frame.to_ndarray()
    channel = samples[0] if frame.format.is_planar else samples[0, :: frame.layout.nb_channels]
    scale = 1.0 if np.issubdtype(channel.dtype, np.floating) else 32768.0
    return np.asarray(channel, np.float64) / scale


def wide_gamut_profile() -> bytes:
    """An ICC profile with the primaries of Display P3 and the tone curve of sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for entry in range(int.from_bytes(profile[128:132], "big")):
        name, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * entry)
        if name in primaries:
            struct.pack_into(">3i", profile, offset + 8, *(round(value * 65536) for value in primaries[name]))
    return bytes(profile)


WIDE_RED = (234, 51, 35)
"""The red of sRGB in the colours of `wide_gamut_profile`."""


def write_bomb(clip: Path, path: Path, samples: int = 20_000_000) -> Path:
    """Write an MP4 as another one whose headers claim many samples, for which libav takes 70 bytes each."""
    data = bytearray(clip.read_bytes())
    for name, place, value in ((b"stsz", 4, 1), (b"stsz", 8, samples), (b"stts", 8, samples), (b"stsc", 12, samples)):
        first = data.index(name) + 4 + place
        data[first : first + 4] = value.to_bytes(4, "big")
    path.write_bytes(data)
    return path

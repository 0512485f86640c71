"""Real clips: every frame is decoded once, and written again with its rate and sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tasks.media import (
    AudioSource,
    decode,
    encode,
    probe,
)
from tests.clips import (
    counted_by_pyav,
)


@pytest.mark.parametrize("name", ["d0", "d9", "d19", "driving_video"])
def test_real_clips_through_decode_and_encode(shared: Path, tmp_path: Path, name: str) -> None:
    clip = shared / "media" / f"{name}.mp4"
    source = probe(clip)
    # Half the frames' sides: this is about numbers and sound.
    small = (frame[::2, ::2] for frame in decode(clip))
    size = (-(-source.width // 2), -(-source.height // 2))
    info = encode(small, tmp_path / "out.mp4", rate=source.rate, size=size, audio=AudioSource(clip))
    assert (info.frames, info.rate, info.audio) == (source.frames, source.rate, source.audio)
    if info.audio:
        assert info.audio_seconds == pytest.approx(info.seconds, abs=float(1 / info.rate))


@pytest.mark.parametrize(
    ("name", "frames", "rate"), [("d0", 78, 25), ("d9", 587, 30), ("d19", 250, 30), ("driving_video", 120, 30)]
)
def test_real_clips(shared: Path, name: str, frames: int, rate: int) -> None:
    clip = shared / "media" / f"{name}.mp4"
    info = probe(clip)
    assert (info.frames, info.rate) == (frames, Fraction(rate))
    assert counted_by_pyav(clip) == frames
    delivered = 0
    for frame in decode(clip):
        assert frame.shape == (info.height, info.width, 3)
        delivered += 1
    assert delivered == frames

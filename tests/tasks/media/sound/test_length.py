"""Lengths of sound, to the sample."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.media import AudioSource, find_audio
from tasks.media.sandbox import Sandbox
from tasks.media.sound import measure_sound, processor_seconds, sound_seconds, sound_traits
from tests.clips import make
from troupe.errors import TooLarge


def test_a_clip_with_a_large_picture_may_be_the_sound(tmp_path: Path) -> None:
    """Its picture is not decoded for that: in the sandbox there is no memory for it."""
    clip = make(
        tmp_path / "clip.mp4",
        *("-f", "lavfi", "-i", "testsrc=s=1920x1080:d=0.4:r=25", "-f", "lavfi", "-i", "sine=r=48000:d=0.5"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "pcm_s16le", "-f", "mov"),
    )
    with Sandbox() as sandbox:
        traits = sandbox(sound_traits, clip)
    assert {choice: Fraction(*seconds) for choice, seconds in traits["seconds"].items()} == {"": Fraction(1, 2)}
    audio = find_audio(AudioSource(clip))
    assert audio is not None
    assert sound_seconds(audio) == Fraction(1, 2)


def test_every_track_has_a_length(tmp_path: Path) -> None:
    clip = make(
        tmp_path / "tracks.mka",
        *("-f", "lavfi", "-i", "sine=r=48000:d=0.5", "-f", "lavfi", "-i", "sine=r=48000:d=0.25"),
        *("-map", "0", "-map", "1", "-c:a", "pcm_s16le", "-disposition:a:0", "0", "-disposition:a:1", "default"),
    )
    seconds = {choice: float(Fraction(*pair)) for choice, pair in sound_traits(clip)["seconds"].items()}
    assert list(seconds) == ["", "index:0", "index:1"]
    assert np.allclose(list(seconds.values()), [0.25, 0.5, 0.25], atol=0.001)  # Matroska counts milliseconds


@pytest.mark.parametrize("suffix", ["aiff", "caf"])
def test_formats_that_count_samples_as_frames(tmp_path: Path, suffix: str) -> None:
    sound = make(tmp_path / f"sound.{suffix}", "-f", "lavfi", "-i", "sine=r=48000:d=1")
    assert sound_traits(sound)["seconds"] == {"": (1, 1)}


def test_damaged_packets_are_counted(tmp_path: Path) -> None:
    sound = make(tmp_path / "sound.m4a", "-f", "lavfi", "-i", "sine=r=48000:d=2", "-c:a", "aac")
    audio = find_audio(AudioSource(sound))
    assert audio is not None
    whole, damaged = measure_sound(audio)
    assert (round(whole, 1), damaged) == (2, 0)
    data = bytearray(sound.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2000] = bytes(range(250)) * 8
    sound.write_bytes(data)
    seconds, damaged = measure_sound(audio)
    assert 0 < damaged < 20
    assert seconds <= whole


def test_a_sound_has_a_limit_in_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = make(tmp_path / "sound.wav", "-f", "lavfi", "-i", "sine=r=8000:d=2.5")
    monkeypatch.setenv("TROUPE_MAX_SOUND_SECONDS", "2")
    with pytest.raises(TooLarge, match=r"sound.wav is longer than 2 s; the limit is 2: .*set TROUPE_MAX_SOUND_SECONDS"):
        sound_traits(sound)


def test_the_time_to_measure_a_sound_is_in_proportion_to_it(tmp_path: Path) -> None:
    for size, seconds in ((13_000, 5), (3_000_000, 35), (10**12, 437)):
        with (tmp_path / "sound.mp3").open("wb") as file:
            file.truncate(size)
        assert processor_seconds(tmp_path / "sound.mp3") == seconds

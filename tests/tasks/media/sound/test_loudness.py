"""Loudness, held against another implementation and against known values."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.media import AudioSource, encode, find_audio
from tasks.media.sound import Loudness, measure_file, measure_loudness
from tests.clips import HEIGHT, WIDTH, numbered
from tests.sounds import RATE, SOUNDS, Sound, noise, pyloudnorm_of, speech, tone, true_peak, write_sound


def measured(folder: Path, sound: Sound, seconds: float | None = None, rate: int = RATE) -> Loudness:
    audio = find_audio(AudioSource(write_sound(folder / "sound.wav", sound, rate)))
    assert audio is not None
    return measure_loudness(audio, seconds)


@pytest.mark.parametrize("name", SOUNDS)
def test_as_another_implementation(tmp_path: Path, name: str) -> None:
    sound, rate = SOUNDS[name]
    found = measured(tmp_path, sound, rate=rate)
    assert found.integrated == pytest.approx(pyloudnorm_of(sound, rate), abs=0.1)
    assert found.true_peak == pytest.approx(true_peak(sound), abs=0.1)
    assert found.notes == ()


def test_a_tone_of_known_loudness(tmp_path: Path) -> None:
    assert measured(tmp_path, tone(5.0)) == Loudness(integrated=-23.02, range=0.0, true_peak=-20.0)


def test_loudness_range(tmp_path: Path) -> None:
    steps = np.concatenate([tone(10.0, level=0.1), tone(10.0, level=0.0316)])
    assert measured(tmp_path, steps).range == pytest.approx(10.0, abs=0.1)
    # ffmpeg alone reports 20 LU for any sound with fewer than five blocks of 3 s.
    assert measured(tmp_path, tone(3.3)).range is None
    assert measured(tmp_path, tone(3.4)).range == 0.0
    assert measured(tmp_path, np.concatenate([np.zeros((RATE * 4, 1)), tone(0.3)])).range is None


def test_peaks_anywhere_and_of_any_level(tmp_path: Path) -> None:
    late = tone(1.05, level=0.01)
    late[-2000:] *= 50
    assert measured(tmp_path, late).true_peak == pytest.approx(true_peak(late), abs=0.1)
    faint = tone(1.0, level=0.0004)
    assert measured(tmp_path, faint).true_peak == pytest.approx(true_peak(faint), abs=0.1)
    over = noise(level=2.0)
    assert measured(tmp_path, over).true_peak == pytest.approx(true_peak(over), abs=0.1)


@pytest.mark.parametrize(
    ("sound", "reason", "has_peak"),
    [
        (tone(0.3), "shorter than 0.4 s", True),
        (tone(0.001), "shorter than 0.4 s", True),
        (np.zeros((RATE, 2)), "silent", False),
        (np.zeros((RATE // 5, 2)), "silent", False),
        (speech() * 1e-3, "quieter than -70 LUFS", True),
    ],
    ids=["short", "one-millisecond", "silent", "short-and-silent", "faint"],
)
def test_what_has_no_loudness(tmp_path: Path, sound: Sound, reason: str, has_peak: bool) -> None:
    found = measured(tmp_path, sound)
    assert (found.integrated, found.range, found.true_peak is not None) == (None, None, has_peak)
    assert [reason in note for note in found.notes] == [True]


def test_the_part_is_measured(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "sound.flac", np.concatenate([tone(2.0, level=0.5), tone(2.0, level=0.05)]))
    audio = find_audio(AudioSource(path, start=2.0))
    assert audio is not None
    assert measure_loudness(audio, 1.5).integrated == pytest.approx(-29.0, abs=0.1)
    assert measure_loudness(audio).integrated == pytest.approx(-29.0, abs=0.1)
    # Padded with silence, which the gate leaves out except for the blocks at the edge.
    assert measure_loudness(audio, 8.0).integrated == pytest.approx(-29.2, abs=0.2)
    assert measure_loudness(audio, 0.3).integrated is None


def test_a_written_file(tmp_path: Path) -> None:
    sound = write_sound(tmp_path / "sound.wav", speech())
    film, silent = tmp_path / "film.mp4", tmp_path / "silent.mp4"
    encode(numbered(100), film, rate=Fraction(25), size=(WIDTH, HEIGHT), audio=AudioSource(sound))
    encode(numbered(5), silent, rate=Fraction(25), size=(WIDTH, HEIGHT))
    found = measure_file(film)
    assert found is not None
    assert found.integrated == pytest.approx(pyloudnorm_of(speech(), RATE), abs=0.1)
    assert measure_file(silent) is None

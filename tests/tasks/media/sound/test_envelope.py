"""Envelopes of sounds that are known."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.media import AudioSource, find_audio
from tasks.media.sound import measure_loudness
from tasks.media.sound.envelope import measure_film, speech_envelope
from tests.clips import SAMPLE_RATE, beep, write_wave


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)], ids=str)
def test_a_tone_is_where_it_sounds(tmp_path: Path, rate: Fraction) -> None:
    write_wave(tmp_path / "tone.wav", beep(2, 0.8, 0.4))
    audio = find_audio(AudioSource(tmp_path / "tone.wav"))
    assert audio is not None
    envelope = speech_envelope(audio, 90, rate)  # longer than the sound
    times = np.arange(90) / float(rate)
    inside, outside = (times > 0.85) & (times < 1.15), (times < 0.74) | (times > 1.26)
    assert envelope[inside] == pytest.approx(0.8 / np.sqrt(2), rel=0.05)
    assert envelope[outside].max() < 0.01


def test_a_film_is_measured_with_one_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loudness and envelope are those of two decodings, to the bit, wherever temporary files are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "it's: a [folder], of; ours"))
    Path(tempfile.gettempdir()).mkdir()
    write_wave(tmp_path / "tone.wav", beep(2, 0.8, 0.4))
    audio = find_audio(AudioSource(tmp_path / "tone.wav"))
    assert audio is not None
    loudness, envelope = measure_film(audio, 90, Fraction(25))
    assert loudness == measure_loudness(audio)
    assert loudness.integrated is not None
    assert envelope.tolist() == speech_envelope(audio, 90, Fraction(25)).tolist()


def test_rumble_and_hiss_are_not_speech(tmp_path: Path) -> None:
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for hertz, share in [(40, 0.1), (1000, 0.9), (7000, 0.4)]:
        write_wave(tmp_path / "tone.wav", 0.8 * np.sin(2 * np.pi * hertz * times))
        audio = find_audio(AudioSource(tmp_path / "tone.wav"))
        assert audio is not None
        level = speech_envelope(audio, 25, Fraction(25))[5:20].mean() / (0.8 / np.sqrt(2))
        assert (level < share) == (hertz != 1000)

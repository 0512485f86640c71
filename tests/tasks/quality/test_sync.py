"""Mouths and sounds with known offsets."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.synthetic.performance import Performance
from models.synthetic.voice import synthesise_voice
from models.synthetic.world import draw_clip
from tasks.media import AudioSource, find_audio
from tasks.media.sound.envelope import speech_envelope
from tasks.quality.mouth import MouthMeter
from tasks.quality.sync import MAX_OFFSET, measure_sync

FRAMES, RATE, SAMPLES = 75, Fraction(25), 16_000


def mouth(seed: int, frames: int = FRAMES, shift: int = 0) -> NDArray[np.float64]:
    """Openness of a speaker's mouth, `shift` frames late."""
    moments = Performance.from_seed(seed, frames + MAX_OFFSET, RATE).moments
    opening = np.array([moment.mouth for moment in moments])
    return opening[MAX_OFFSET - shift :][:frames]


def envelope_of(path: Path, seed: int, shift: int = 0) -> NDArray[np.float64]:
    """Envelope of a speaker's voice that starts `shift` frames late."""
    sound = synthesise_voice(seed, seed, FRAMES, RATE, SAMPLES)
    moved = np.roll(sound, round(shift / RATE * SAMPLES))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLES, 0, "NONE", ""))
        file.writeframes((moved * 32767).astype("<i2").tobytes())
    audio = find_audio(AudioSource(path))
    assert audio is not None
    return speech_envelope(audio, FRAMES, RATE)


class TestMeasure:
    @given(st.integers(0, 10**6), st.integers(-MAX_OFFSET, MAX_OFFSET), st.floats(0.1, 100), st.floats(-9, 9))
    def test_offsets_are_found_in_any_unit(self, seed: int, offset: int, scale: float, level: float) -> None:
        noise = np.random.default_rng(seed).normal(0, 0.05, FRAMES)
        moments = Performance.from_seed(seed, FRAMES + MAX_OFFSET, RATE).moments
        opening = np.array([moment.mouth for moment in moments])
        heard, seen = opening[max(-offset, 0) :][:FRAMES], opening[max(offset, 0) :][:FRAMES]
        found = measure_sync(scale * (seen + noise) + level, heard)
        assert found is not None
        assert found.offset_frames == offset
        assert found.confidence > 0.4

    def test_exchanged_sounds_are_told_from_true_ones(self) -> None:
        rng = np.random.default_rng(0)
        openings = [mouth(seed) + rng.normal(0, 0.15, FRAMES) for seed in range(40)]
        sounds = [mouth(seed) for seed in range(40)]
        true = [measure_sync(a, b) for a, b in zip(openings, sounds, strict=True)]
        false = [measure_sync(a, b) for a, b in zip(openings, sounds[7:] + sounds[:7], strict=True)]
        ahead = [t.confidence > f.confidence for t in true for f in false if t is not None and f is not None]
        assert np.mean(ahead) >= 0.97
        assert sum(t is not None and t.offset_frames == 0 for t in true) >= 38

    def test_unknown_frames_and_outliers_are_tolerated(self) -> None:
        opening, sound = mouth(3, shift=4), mouth(3, shift=0)
        opening[20:28] = np.nan
        opening[50] = 1000
        found = measure_sync(opening, sound)
        assert found is not None
        assert found.offset_frames == -4

    def test_nothing_to_compare(self) -> None:
        opening = mouth(1)
        assert measure_sync(opening, np.zeros(FRAMES)) is None
        assert measure_sync(np.full(FRAMES, 0.3), opening) is None
        assert measure_sync(np.full(FRAMES, np.nan), opening) is None
        assert measure_sync(opening[:30], opening[:30]) is None
        assert measure_sync([], []) is None
        with pytest.raises(ValueError, match=r"\(75,\) and \(74,\)"):
            measure_sync(opening, opening[1:])


class TestWorld:
    def test_a_speaker_of_the_world(self, tmp_path: Path) -> None:
        """From the pixels of a clip and the samples of its voice."""
        meter = MouthMeter()
        for picture, face in draw_clip(3, 3, FRAMES, RATE):
            meter.update(picture, face.keypoints)
        opening = meter.compute()
        assert np.corrcoef(opening, mouth(3, shift=MAX_OFFSET))[0, 1] > 0.7
        for shift in (-8, 0, 5):
            found = measure_sync(opening, envelope_of(tmp_path / "voice.wav", 3, shift))
            assert found is not None
            assert abs(found.offset_frames - shift) <= 1

    def test_the_envelope_is_that_of_the_mouth(self, tmp_path: Path) -> None:
        envelope = envelope_of(tmp_path / "voice.wav", 5)
        assert envelope.shape == (FRAMES,)
        assert np.corrcoef(envelope, mouth(5, shift=MAX_OFFSET))[0, 1] > 0.9

"""The sync check of films whose mouth and sound are known."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.synthetic.performance import Performance
from models.synthetic.voice import synthesise_voice
from tasks.media import AudioSource, Timing, VideoEncoder, VideoMetadata, add_sound, find_audio, h264
from tasks.media.fit import Fit
from tasks.steps.films.sync import MOUTH, measure_sound_and_sync, opening_at

FRAMES, RATE, SAMPLES, SEED = 75, Fraction(25), 16_000, 3
MOUTHS = [moment.mouth for moment in Performance.from_seed(SEED, FRAMES, RATE).moments]
RECORD: dict[str, Any] = {"fps": [25, 1], MOUTH: [round(1000 * mouth) for mouth in MOUTHS]}
WHOLE = Fit(FRAMES, FRAMES)


def film(
    folder: Path, *, shift: int = 0, frames: int = FRAMES, loud: float = 1.0, timing: Timing | None = None
) -> Path:
    """Write a film whose voice starts some frames late."""
    sound, picture, path = folder / "voice.wav", folder / "picture.mp4", folder / "film.mp4"
    samples = loud * np.roll(synthesise_voice(SEED, SEED, FRAMES, RATE, SAMPLES), round(shift / RATE * SAMPLES))
    with wave.open(str(sound), "wb") as file:
        file.setparams((1, 2, SAMPLES, 0, "NONE", ""))
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    form = h264(18, (16, 16))
    about = VideoMetadata(run_id="run", job_id="job")
    with VideoEncoder(picture, rate=RATE, size=(16, 16), metadata=about, timing=timing, video_format=form) as encoder:
        for _ in range(frames):
            encoder.write(np.zeros((16, 16, 3), np.uint8))
        info = encoder.finish()
    add_sound(picture, path, find_audio(AudioSource(sound)), info.seconds, RATE, about, form)
    return path


@pytest.mark.parametrize("shift", [-8, 5])
def test_the_offset_of_a_film(tmp_path: Path, shift: int) -> None:
    _, facts, notes = measure_sound_and_sync(RECORD, WHOLE, film(tmp_path, shift=shift))
    assert abs(facts["sync_offset_frames"] - shift) <= 1
    assert facts["sync_confidence"] > 0.5
    assert notes == []


def test_what_is_not_measured_is_said(tmp_path: Path) -> None:
    loud = film(tmp_path)
    for record, words in (
        ({"fps": [25, 1]}, "before troupe measured mouths"),
        (RECORD | {MOUTH: []}, "no mouth was found"),
        (RECORD | {MOUTH: [None] * 60 + [1] * 15}, "too few frames"),
    ):
        _, facts, (note,) = measure_sound_and_sync(record, WHOLE, loud)
        assert facts == {}
        assert words in note
    loudness, *silent = measure_sound_and_sync(RECORD, WHOLE, film(tmp_path, loud=0))
    assert silent == [{}, ["sync: not measured, the sound is silent"]]
    assert loudness is not None
    assert loudness.integrated is None
    _, brief, (note,) = measure_sound_and_sync(RECORD | {MOUTH: [1, 2, 3]}, Fit(3, 3), film(tmp_path, frames=3))
    assert "fewer than 40 frames" in note
    assert brief == {}


def test_the_mouth_of_an_extended_picture(tmp_path: Path) -> None:
    opening = np.array([0.0, 1.0, 2.0])
    path = film(tmp_path, frames=8)
    assert opening_at(opening, Fit(8, 3, "hold"), path, RATE).tolist() == [0, 1, 2, 2, 2, 2, 2, 2]
    assert opening_at(opening, Fit(8, 3, "bounce"), path, RATE).tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_the_mouth_at_uneven_times(tmp_path: Path) -> None:
    """A frame is shown until the next one's time."""
    times = np.array([0, 1, 2, 6, 7, 8]) / 25
    path = film(tmp_path, frames=6, timing=Timing(times, RATE, 9 / 25, even=False))
    shown = opening_at(np.arange(6.0), Fit(6, 6), path, RATE)
    assert shown.tolist() == [0, 1, 2, 2, 2, 2, 3, 4, 5]

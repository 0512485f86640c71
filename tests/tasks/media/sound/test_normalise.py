"""Sound is normalised: what the video has is measured anew, by other means."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.media import LOSSLESS, AudioSource, VideoFormat, VideoMetadata, encode, find_audio, h264
from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.mux import fit_audio, mux_graph
from tasks.media.sound import NormalisedSound, default_ceiling, lower_ceiling, measure_file, normalise
from tests.clips import HEIGHT, WIDTH, numbered
from tests.sounds import (
    RATE,
    SECONDS,
    SOUNDS,
    Sound,
    clicks,
    noise,
    pyloudnorm_of,
    read_sound,
    speech,
    tone,
    true_peak,
    write_sound,
)
from troupe.errors import SettingsError

TARGETS = (-23.0, -16.0, -14.0, -27.0)


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "picture.mp4"
    encode(numbered(round(SECONDS * 25)), path, rate=Fraction(25), size=(WIDTH, HEIGHT))
    return path


def normalised(
    folder: Path, source: Path, target: float, seconds: float = SECONDS, video_format: VideoFormat | None = None
) -> NormalisedSound:
    video_format = video_format or h264()
    found = find_audio(AudioSource(source))
    assert found is not None
    audio, _ = fit_audio(found, video_format)
    return normalise(audio, seconds, folder / "sound.flac", video_format, target=target)


def written(folder: Path, picture: Path, sound: NormalisedSound, video_format: VideoFormat | None = None) -> Path:
    video_format = video_format or h264()
    film = folder / f"film{video_format.suffix}"
    with FfmpegProcess(mux_graph(film, picture, sound.audio, SECONDS, VideoMetadata(), video_format)) as process:
        assert process.finish() == 0, process.errors
    return film


def _cases() -> list[object]:
    """Each sound at one target, in turn, and at the next one in the long tests; four take minutes."""
    return [
        pytest.param(name, TARGETS[(index + step) % 4], marks=[pytest.mark.long] if step else [])
        for index, name in enumerate(SOUNDS)
        for step in (0, 1)
    ]


@pytest.mark.parametrize(("name", "target"), _cases())
def test_loudness_and_peak_of_the_film(tmp_path: Path, picture: Path, name: str, target: float) -> None:
    sound = normalised(tmp_path, write_sound(tmp_path / "sound.wav", *SOUNDS[name]), target)
    film = written(tmp_path, picture, sound)
    samples, rate = read_sound(film)
    assert (rate, sound.notes) == (RATE, ())
    assert pyloudnorm_of(samples, rate) == pytest.approx(target, abs=0.5)
    assert true_peak(samples) <= default_ceiling(target) + 0.05
    assert samples.shape[1] == SOUNDS[name][0].shape[1]
    # The trial encoding is the one of the film.
    assert measure_file(film) == sound.encoded
    assert lower_ceiling(sound, sound.encoded) is None


@pytest.mark.parametrize("target", [-23.0, -14.0])
def test_limiting_does_not_shift_the_sound(tmp_path: Path, target: float) -> None:
    original = speech()
    sound = normalised(tmp_path, write_sound(tmp_path / "sound.wav", original), target)
    samples, _ = read_sound(sound.audio.path)
    assert len(samples) == round(SECONDS * RATE)
    spectrum = np.fft.rfft(samples[:, 0]) * np.conj(np.fft.rfft(original[:, 0]))
    assert np.argmax(np.fft.irfft(spectrum)) == 0


def test_peaks_that_need_no_limiting_keep_their_shape(tmp_path: Path) -> None:
    original = speech()
    sound = normalised(tmp_path, write_sound(tmp_path / "sound.wav", original), -30.0)
    assert sound.gain == pytest.approx(-30 + 23.64, abs=0.05)
    samples, _ = read_sound(sound.audio.path)
    np.testing.assert_allclose(samples, original * 10 ** (sound.gain / 20), atol=1e-6)


def test_what_the_limiter_makes_impossible_is_said(tmp_path: Path) -> None:
    sound = normalised(tmp_path, write_sound(tmp_path / "sound.wav", clicks()), -14.0)
    assert sound.encoded.integrated is not None
    assert sound.encoded.true_peak is not None
    assert sound.encoded.integrated < -16
    assert sound.encoded.true_peak <= -1
    assert [f"{sound.encoded.integrated:.1f} LUFS instead of -14" in note for note in sound.notes] == [True]


@pytest.mark.parametrize("samples", [tone(0.3), np.zeros((RATE, 2)), speech() * 1e-3], ids=["short", "silent", "faint"])
def test_what_has_no_loudness_is_left_as_it_is(tmp_path: Path, samples: Sound) -> None:
    source = write_sound(tmp_path / "sound.wav", samples)
    sound = normalised(tmp_path, source, -23.0, seconds=len(samples) / RATE)
    assert (sound.audio.path, sound.gain) == (source, None)
    assert ["it is left as it is" in note for note in sound.notes] == [True]
    assert not (tmp_path / "sound.flac").exists()


def test_lossless_formats(tmp_path: Path, picture: Path) -> None:
    """White noise: AAC would take 1 LU away above 16 kHz, PCM does not."""
    sound = normalised(tmp_path, write_sound(tmp_path / "sound.wav", noise()), -16.0, video_format=LOSSLESS)
    film = written(tmp_path, picture, sound, LOSSLESS)
    samples, rate = read_sound(film)
    assert pyloudnorm_of(samples, rate) == pytest.approx(-16.0, abs=0.1)
    assert sound.encoded == measure_file(film)


def test_a_lower_ceiling_where_a_file_exceeds_the_limit(tmp_path: Path) -> None:
    source = write_sound(tmp_path / "sound.wav", speech())
    sound = normalised(tmp_path, source, -14.0)
    assert sound.encoded.true_peak is not None
    assert -1.5 < sound.encoded.true_peak <= -1.0
    ceiling = lower_ceiling(sound, replace(sound.encoded, true_peak=0.0))
    assert ceiling == pytest.approx(-2.1)
    again = normalise(sound.audio, SECONDS, tmp_path / "again.flac", h264(), target=-14.0, ceiling=ceiling)
    assert again.encoded.true_peak is not None
    assert -2.6 < again.encoded.true_peak <= -2.1
    assert again.encoded.integrated == pytest.approx(-14.0, abs=0.1)


@pytest.mark.parametrize(("target", "ceiling"), [(-60.0, None), (3.0, None), (float("nan"), None), (-23.0, 1.0)])
def test_settings_out_of_range(tmp_path: Path, target: float, ceiling: float | None) -> None:
    audio = find_audio(AudioSource(write_sound(tmp_path / "sound.wav", tone())))
    assert audio is not None
    with pytest.raises(SettingsError, match=r"use -?\d+ to"):
        normalise(audio, SECONDS, tmp_path / "out.flac", h264(), target=target, ceiling=ceiling)

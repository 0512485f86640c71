"""One minute of flashes and beeps, decoded and encoded: picture and sound stay in sync with the source."""

from __future__ import annotations

from fractions import Fraction
from itertools import cycle
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.media import AudioSource, decode, encode, probe, timing_of
from tests.clips import SAMPLE_RATE, make, make_clip, sound_of, write_wave
from troupe import Picture

SECONDS = 60
MOMENTS = (1, 59)
"""Seconds at which it flashes and beeps."""
SYNC_SECONDS = 0.02
SIDE = 16
QUICK = ("-preset", "ultrafast", "-shortest")
RATES = ["24000/1001", "25", "30000/1001", "50", "60000/1001"]


def flashes(rate: Fraction) -> list[Picture]:
    """Black frames, white for two of them from each moment on."""
    frames = [np.zeros((SIDE, SIDE, 3), dtype=np.uint8)] * round(SECONDS * rate)
    for moment in MOMENTS:
        first = round(moment * rate)
        frames[first : first + 2] = [np.full((SIDE, SIDE, 3), 255, dtype=np.uint8)] * 2
    return frames


def beeps(times: list[float]) -> np.ndarray:
    at = np.arange(SECONDS * SAMPLE_RATE) / SAMPLE_RATE
    tone = 0.8 * np.sin(2 * np.pi * 1000 * at)
    return np.where(np.any([(at >= time) & (at < time + 0.1) for time in times], axis=0), tone, 0.0)


def marks(path: Path) -> tuple[list[float], list[float]]:
    """Return the times in seconds at which flashes and beeps start, by another decoder."""
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="gray").mean() > 128) for frame in container.decode(video=0)]
    shown = [time for (time, bright), (_, before) in zip(frames[1:], frames, strict=False) if bright and not before]
    samples, begin, rate = sound_of(path)
    loud = np.flatnonzero(np.abs(samples) > 0.3)
    sounding = [loud[0], *loud[1:][np.diff(loud) > rate]]
    return [float(time or 0) for time in shown], [begin + int(sample) / rate for sample in sounding]


def check(source: Path, made: Path) -> None:
    for before, after in zip(marks(source), marks(made), strict=True):
        assert len(before) == len(after) == len(MOMENTS)
        np.testing.assert_allclose(after, before, atol=SYNC_SECONDS)


@pytest.mark.parametrize(("rate", "sound"), list(zip(RATES, cycle(["aac", "pcm_s16le"]), strict=False)))
def test_constant_rates(tmp_path: Path, rate: str, sound: str) -> None:
    pace = Fraction(rate)
    beep = beeps([round(moment * pace) / float(pace) for moment in MOMENTS])
    source = make_clip(tmp_path / "source.mov", flashes(pace), pace, *QUICK, "-c:a", sound, sound=beep)
    made = tmp_path / "made.mp4"
    encode(decode(source), made, rate=probe(source).rate, size=(SIDE, SIDE), audio=AudioSource(source))
    check(source, made)


@pytest.fixture
def variable(tmp_path: Path) -> Path:
    """Bursts of 60 frames per second and pauses, as in a screen recording."""
    pace = Fraction(30)
    times = np.arange(SECONDS * 30) / 30 + np.where(np.arange(SECONDS * 30) % 60 < 40, -0.008, 0.007) * (
        np.arange(SECONDS * 30) % 2
    )
    steady = make_clip(tmp_path / "steady.mp4", flashes(pace), pace, *QUICK)
    write_wave(tmp_path / "beep.wav", beeps([float(times[round(moment * pace)]) for moment in MOMENTS]))
    jitter = "[0:v]settb=1/90000,setpts='(N/30+if(lt(mod(N,60),40),-0.008,0.007)*mod(N,2))*90000'[v]"
    timing = ("-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000")
    return make(
        tmp_path / "variable.mp4",
        *("-i", str(steady), "-i", str(tmp_path / "beep.wav"), "-filter_complex", jitter),
        *("-map", "[v]", "-map", "1:a", *timing, *QUICK),
    )


def test_a_variable_rate_keeps_its_own_times(tmp_path: Path, variable: Path) -> None:
    made = tmp_path / "made.mp4"
    timing = timing_of(variable)
    assert not timing.even
    encode(
        decode(variable),
        made,
        rate=timing.rate,
        size=(SIDE, SIDE),
        audio=AudioSource(variable),
        timing=timing,
    )
    check(variable, made)
    again = timing_of(made)
    np.testing.assert_allclose(again.times, timing.times, atol=1e-4)
    assert again.seconds == pytest.approx(timing.seconds, abs=1e-3)


def test_a_variable_rate_made_constant(tmp_path: Path, variable: Path) -> None:
    made = tmp_path / "made.mp4"
    fps = Fraction(25)
    encode(decode(variable, fps=fps), made, rate=fps, size=(SIDE, SIDE), audio=AudioSource(variable))
    check(variable, made)
    assert (probe(made).rate, probe(made).frames) == (fps, round(timing_of(variable).seconds * fps))

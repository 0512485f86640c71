"""Sound of any layout and format fits into the videos, or is refused before the work."""

from __future__ import annotations

import random
import re
import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.media import AudioSource, VideoEncoder, VideoFormat, find_audio, fit_audio, h264, mux
from tests.clips import HEIGHT, SAMPLE_RATE, WIDTH, beep, beep_time, flash, make, sound_of, write_wave
from troupe.errors import UnreadableMedia

SIZE = (WIDTH, HEIGHT)
RATE = Fraction(25)


@pytest.mark.parametrize(
    ("name", "filters", "options", "channels", "note"),
    [
        ("ten.wav", "pan=5.1.4|c0=c0|c4=c0", [], 2, r"5\.1\.4 was mixed to stereo .*Unsupported channel layout"),
        ("left.mov", "pan=FL|c0=c0", ["-c:a", "pcm_s16le"], 1, r"1 channels \(FL\) was mixed to mono"),
        ("phone.mp3", "aresample=8000", [], 1, ""),
        ("plain.au", "anull", [], 1, ""),
        ("plain.wv", "anull", [], 1, ""),
        ("plain.tta", "anull", [], 1, ""),
        ("plain.voc", "anull", [], 1, ""),
    ],
    ids=lambda value: value if isinstance(value, str) and re.fullmatch(r"\w+\.\w+", value) else "",
)
def test_any_layout_and_format_of_sound(
    tmp_path: Path, name: str, filters: str, options: list[str], channels: int, note: str
) -> None:
    write_wave(tmp_path / "voice.wav", beep(2, 0.5))
    sound = make(tmp_path / name, "-i", str(tmp_path / "voice.wav"), "-af", filters, *options)
    path = tmp_path / "out.mp4"
    with VideoEncoder(path, rate=RATE, size=SIZE, audio=AudioSource(sound)) as encoder:
        assert [bool(re.search(note, found)) for found in encoder.notes] == [True] * bool(note)
        for frame in flash(50, 12):
            encoder.write(frame)
    assert beep_time(path) == pytest.approx(0.5, abs=0.05)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].layout.nb_channels == channels


def test_usual_layouts_need_no_trial_where_muxing_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_wave(tmp_path / "voice.wav", beep(2, 0.5))
    found = find_audio(AudioSource(tmp_path / "voice.wav"))
    assert found is not None
    tried = fit_audio(found, h264())
    monkeypatch.setattr(mux, "FfmpegProcess", None)  # cannot be started
    assert fit_audio(found, h264(), try_usual=False) == tried
    with pytest.raises(TypeError):
        fit_audio(replace(found, layout="5.1.4", channels=10), h264(), try_usual=False)


def test_channels_without_positions_are_all_heard(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "recorder.wav"), "wb") as file:
        file.setparams((16, 2, SAMPLE_RATE, 0, "NONE", ""))
        samples = np.zeros((SAMPLE_RATE * 2, 16))
        samples[:, 13] = beep(2, 0.5)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    path = tmp_path / "out.mp4"
    with VideoEncoder(path, rate=RATE, size=SIZE, audio=AudioSource(tmp_path / "recorder.wav")) as encoder:
        assert re.search("16 channels was mixed to mono", encoder.notes[0])
        for frame in flash(50, 12):
            encoder.write(frame)
    assert np.abs(sound_of(path)[0]).max() == pytest.approx(0.8 / 16, rel=0.1)


def test_left_and_right_in_two_tracks_are_joined(tmp_path: Path) -> None:
    write_wave(tmp_path / "left.wav", beep(2, 0.5))
    write_wave(tmp_path / "right.wav", beep(2, 1.5))
    clip = make(
        tmp_path / "camera.mov",
        *("-i", str(tmp_path / "left.wav"), "-i", str(tmp_path / "right.wav")),
        *("-filter_complex", "[0]pan=FL|c0=c0[l];[1]pan=FR|c0=c0[r]"),
        *("-map", "[l]", "-map", "[r]", "-c:a", "pcm_s16le"),
    )
    path = tmp_path / "out.mp4"
    with VideoEncoder(path, rate=RATE, size=SIZE, audio=AudioSource(clip)) as encoder:
        assert encoder.notes == ["sound: two tracks, left and right, were joined to stereo"]
        for frame in flash(50, 12):
            encoder.write(frame)
    with av.open(str(path)) as container:
        left, right = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    assert np.argmax(np.abs(left) > 0.3) / SAMPLE_RATE == pytest.approx(0.5, abs=0.05)
    assert np.argmax(np.abs(right) > 0.3) / SAMPLE_RATE == pytest.approx(1.5, abs=0.05)


def test_sound_that_cannot_be_encoded_is_refused_before_the_work(tmp_path: Path) -> None:
    write_wave(tmp_path / "voice.wav", beep(2, 0.5))
    odd = VideoFormat(".mp4", "mp4", "yuv420p", {"vcodec": "libx264"}, {"acodec": "adpcm_ima_wav"})
    with pytest.raises(UnreadableMedia, match=r"sound of voice\.wav .*Could not find tag for codec adpcm_ima_wav"):
        VideoEncoder(
            tmp_path / "out.mp4",
            rate=RATE,
            size=SIZE,
            audio=AudioSource(tmp_path / "voice.wav"),
            video_format=odd,
        )


@pytest.mark.parametrize("name", ["voice.aac", "voice.ts"])
def test_damaged_packets_that_cannot_be_copied_are_encoded(tmp_path: Path, name: str) -> None:
    """Only the muxer of MP4 notices, after the picture has been rendered."""
    sound = make(tmp_path / name, "-f", "lavfi", "-i", "sine=r=48000:d=10", "-ac", "2", "-c:a", "aac")
    data, rng = bytearray(sound.read_bytes()), random.Random(1)
    for _ in range(200):
        data[rng.randrange(len(data) // 3, len(data))] ^= 1 << rng.randrange(8)
    sound.write_bytes(data)
    with VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE, audio=AudioSource(sound)) as encoder:
        for frame in flash(200, 12):
            encoder.write(frame)
        assert encoder.finish().audio

"""Tracks are listed once, and chosen and refused by what was listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.media import list_tracks, read_length, sound_problems, track_error
from tests.clips import make, make_clip, numbered, write_wave
from troupe.errors import UnreadableMedia

LISTED = {
    "video": [{"language": "", "default": True}],
    "audio": [
        {"language": "ger", "default": False, "problems": {}},
        {"language": "eng", "default": True, "problems": {"prores": "too many channels"}},
    ],
}


def crowd(path: Path) -> Path:
    """A sound with more channels than ffmpeg mixes."""
    write_wave(path, np.zeros((2000, 100)))
    return path


def test_a_sound_that_no_encoder_takes(tmp_path: Path) -> None:
    path = crowd(tmp_path / "crowd.wav")
    (track,) = list_tracks(path)["audio"]
    assert track == {"language": "", "default": False, "unusual": True, "heard": True}
    assert "the sound of crowd.wav (pcm_s16le, 100 channels) cannot be encoded" in sound_problems(path, 0)["none"]


def test_usual_sounds_are_not_tried(tmp_path: Path) -> None:
    write_wave(tmp_path / "plain.wav", np.zeros(2000))
    clip = make_clip(tmp_path / "clip.mp4", numbered(3), sound=np.zeros(9000))
    for path in (tmp_path / "plain.wav", clip):
        assert [(sound["unusual"], sound["heard"]) for sound in list_tracks(path)["audio"]] == [(False, True)]
    ten = make(tmp_path / "ten.wav", "-f", "lavfi", "-i", "anullsrc=cl=7.1.2:d=0.1")
    assert [sound["unusual"] for sound in list_tracks(ten)["audio"]] == [True]
    assert sound_problems(ten, 0) == {}


@pytest.mark.parametrize(
    ("kind", "choice", "master", "error"),
    [
        ("video", "", "none", ""),
        ("audio", "", "lossless", ""),
        ("audio", "", "prores", "too many channels"),
        ("audio", "language:de", "prores", ""),
        ("audio", "index:2", "none", "a.mkv has no audio track index:2; it has index:0 (ger), index:1 (eng)"),
        ("video", "language:fr", "none", "a.mkv has no video track language:fr; it has index:0;"),
    ],
)
def test_choices(kind: str, choice: str, master: str, error: str) -> None:
    found = track_error(LISTED, kind, choice, "a.mkv", master)
    assert str(found or "").startswith(error)
    assert (found is None) == (not error)


def test_files_without_tracks() -> None:
    assert track_error({"video": [], "audio": []}, "audio", "", "a.mp4") is None
    assert track_error({}, "audio", "index:1", "a.mp4") is None  # not read: the worker says what is wrong with it


@pytest.mark.parametrize("name", ["voice.wav", "voice.mp3", "voice.m4a"])
def test_a_sound_in_place_of_a_clip_is_called_that(tmp_path: Path, name: str) -> None:
    sound = make(tmp_path / name, "-f", "lavfi", "-i", "sine=duration=1")
    with pytest.raises(UnreadableMedia, match=rf"^{name} is a sound without pictures; name a clip, and"):
        read_length(sound)


def test_the_length_of_a_fragmented_file_is_that_of_all_fragments(tmp_path: Path) -> None:
    """As browsers and cameras record them; with another sound, the job would be refused as a misfit."""
    arguments = ("-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=4", "-f", "lavfi", "-i", "sine=duration=6")
    for name, flags in (("plain", "0"), ("fragments", "frag_keyframe"), ("empty", "frag_keyframe+empty_moov")):
        clip = make(tmp_path / f"{name}.mp4", *arguments, "-g", "25", "-movflags", flags)
        assert read_length(clip) == (100, 25.0), name

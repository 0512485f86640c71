"""Clips with several tracks, and interlaced ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.media import (
    AudioSource,
    VideoMetadata,
    clip_notes,
    clip_traits,
    decode,
    encode,
    find_audio,
    probe,
    sound_notes,
)
from tests.clips import HEIGHT, WIDTH, make, make_clip, numbered, numbers
from troupe.errors import InputError

RATE = Fraction(25)
SIZE = (WIDTH, HEIGHT)


def dubbed(path: Path, *options: str, second: str = "default") -> Path:
    """A clip with a German track of silence, and an English one of a tone marked as default."""
    silent = make_clip(path.with_name("silent.mp4"), numbered(10))
    return make(
        path,
        *("-i", str(silent), "-f", "lavfi", "-i", "anullsrc=d=0.4", "-f", "lavfi", "-i", "sine=d=0.4"),
        *("-map", "0:v", "-map", "1:a", "-map", "2:a", "-c:v", "copy", "-c:a", "aac"),
        *("-metadata:s:a:0", "language=ger", "-metadata:s:a:1", "language=eng"),
        *("-disposition:a:0", "0", "-disposition:a:1", second, *options),
    )


def loudness(path: Path) -> float:
    with av.open(str(path)) as container:
        return max(float(np.abs(frame.to_ndarray()).max()) for frame in container.decode(audio=0))


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_default_track_is_used_and_its_language_kept(tmp_path: Path, suffix: str) -> None:
    clip = dubbed(tmp_path / f"dubbed.{suffix}")
    out = tmp_path / "out.mp4"
    encode(decode(clip), out, rate=RATE, size=SIZE, audio=AudioSource(clip))
    assert loudness(out) > 0.05
    with av.open(str(out)) as container:
        assert container.streams.audio[0].language == "eng"
    assert clip_traits(clip) == {"audio": 2}
    (note,) = sound_notes(clip)
    assert note in (
        "audio: track index:1 (eng) of 2 was used, not index:0 (ger)",
        "audio: track index:1 (eng) of 2 was used, not index:0 (deu)",
    )
    assert clip_notes(clip) == []
    encode(decode(clip), out, rate=RATE, size=SIZE, audio=AudioSource(clip), metadata=VideoMetadata(language="en-GB"))
    with av.open(str(out)) as container:
        assert container.streams.audio[0].language == "eng"


@pytest.mark.parametrize("choice", ["index:0", "language:de", "language:deu", "language:ger", "language:de-CH"])
def test_a_track_is_chosen(tmp_path: Path, choice: str) -> None:
    found = find_audio(AudioSource(dubbed(tmp_path / "dubbed.mkv"), track=choice))
    assert found is not None
    assert (found.stream, found.language) == (1, "ger")


@pytest.mark.parametrize("choice", ["index:2", "language:fr"])
def test_a_track_that_does_not_exist_is_named(tmp_path: Path, choice: str) -> None:
    clip = dubbed(tmp_path / "dubbed.mkv")
    with pytest.raises(InputError, match=rf"dubbed\.mkv has no audio track {choice}; it has index:0 \(ger\), index:1"):
        find_audio(AudioSource(clip, track=choice))
    with pytest.raises(InputError, match="no video track index:7"):
        next(decode(clip, video_track="index:7"))


def test_the_default_picture_is_used_and_covers_never(tmp_path: Path) -> None:
    black = make(tmp_path / "black.mp4", "-f", "lavfi", "-i", f"color=black:s={WIDTH}x{HEIGHT}:r=25:d=0.4")
    clip = make(
        tmp_path / "angles.mkv",
        *("-i", str(black), "-i", str(make_clip(tmp_path / "numbered.mp4", numbered(10)))),
        *("-map", "0:v", "-map", "1:v", "-c", "copy", "-disposition:v:0", "0", "-disposition:v:1", "default"),
    )
    assert numbers(decode(clip)) == list(range(10))
    assert numbers(decode(clip, video_track="index:0")) == [0] * 10
    assert clip_traits(clip) == {"video": 1}
    covered = make(
        tmp_path / "covered.mp4",
        *("-i", str(tmp_path / "numbered.mp4"), "-f", "lavfi", "-i", "color=red:s=32x32:d=0.04:r=25"),
        *("-map", "0:v", "-map", "1:v", "-c:v:0", "copy", "-c:v:1", "mjpeg"),
        *("-disposition:v:0", "0", "-disposition:v:1", "attached_pic"),
    )
    assert numbers(decode(covered)) == list(range(10))
    assert clip_traits(covered) == {}


def test_one_track_changes_nothing(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "plain.mp4", numbered(5), sound=np.zeros(9000))
    assert clip_traits(clip) == {}
    assert clip_notes(clip) == sound_notes(clip) == []


def test_an_interlaced_clip_is_deinterlaced(tmp_path: Path) -> None:
    """A bar that moves between the two fields of a frame: woven, its edges are combs."""
    clip = make(
        tmp_path / "camera.ts",
        *("-f", "lavfi", "-i", "color=black:s=128x96:r=50:d=0.8"),
        *("-f", "lavfi", "-i", "color=white:s=24x96:r=50:d=0.8"),
        *("-filter_complex", "[0][1]overlay=x=4*n:y=0,interlace=scan=tff:lowpass=0"),
        *("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2"),
    )
    frames = list(decode(clip))
    assert len(frames) == probe(clip).frames == 20
    combed = [np.abs(np.diff(frame[..., 1].astype(int), axis=0)).mean() for frame in frames[4:16]]
    assert max(combed) < 3
    assert clip_traits(clip) == {"interlaced": True}
    assert clip_notes(clip) == ["video: the clip is interlaced and was deinterlaced"]

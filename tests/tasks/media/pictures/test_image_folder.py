"""Clips that are a folder of pictures, gathered from where the user has them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalogs.requests.inputs import localise
from tasks.media import AudioSource, clip_notes, clip_traits, decode, encode, find_audio, probe, timing_of
from tests.clips import HEIGHT, WIDE_RED, WIDTH, colour_patches, make_clip, numbered, numbers, wide_gamut_profile
from troupe.errors import InputError, TooLarge, UnreadableMedia

COUNT = 12


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A folder of them, with a name that means something to ffmpeg and to globbing."""
    folder = tmp_path / "take %03d [1]"
    folder.mkdir()
    return folder


def write(folder: Path, kind: str = "png", pictures: int = COUNT, **options: object) -> None:
    for number, picture in enumerate(numbered(pictures)):
        Image.fromarray(picture).save(folder / f"frame_{number + 8}.{kind}", **options)


def gathered(folder: Path, tmp_path: Path) -> Path:
    return localise(str(folder), tmp_path / "work")


def test_pictures_are_a_clip_of_25_frames_per_second_in_numeric_order(frames: Path, tmp_path: Path) -> None:
    write(frames)
    clip = gathered(frames, tmp_path)
    info = probe(clip)
    assert (info.frames, info.rate, info.width, info.height) == (COUNT, Fraction(25), WIDTH, HEIGHT)
    assert (info.codec, info.audio, info.seconds) == ("png", False, COUNT / 25)
    assert numbers(decode(clip)) == list(range(COUNT))
    assert numbers(decode(clip, 0.08, 0.2)) == [2, 3, 4]
    assert find_audio(AudioSource(clip)) is None


def test_a_rate_is_that_of_the_pictures(frames: Path, tmp_path: Path) -> None:
    """None is repeated or left out, and start and end count by it; the same goes for PNGs in one file."""
    write(frames)
    clip, film = gathered(frames, tmp_path), Fraction(24000, 1001)
    joined = tmp_path / "all.png"
    joined.write_bytes(b"".join(path.read_bytes() for path in sorted(clip.iterdir())))
    for path in (clip, joined):
        assert numbers(decode(path, fps=film)) == list(range(COUNT))
        assert timing_of(path, fps=film).rate == film
        assert numbers(decode(path, 0.1, 0.3, fps=Fraction(10))) == [1, 2]
        assert numbers(decode(path)) == list(range(COUNT))
    made = encode(decode(clip, fps=film), tmp_path / "out.mp4", rate=film, size=(WIDTH, HEIGHT))
    assert (made.frames, made.rate) == (COUNT, film)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("jpg", {"quality": 98, "subsampling": 0}), ("tif", {}), ("webp", {"lossless": True}), ("bmp", {}), ("png", {})],
)
def test_every_kind_has_its_colours(kind: str, options: dict[str, object], frames: Path, tmp_path: Path) -> None:
    picture = colour_patches()
    for number in range(3):
        Image.fromarray(picture).save(frames / f"{number}.{kind}", **options)
    found = list(decode(gathered(frames, tmp_path)))
    assert len(found) == 3
    assert max(int(np.abs(frame.astype(int) - picture).max()) for frame in found) <= (8 if kind == "jpg" else 0)


def test_pictures_are_recognised_by_content_not_name(frames: Path, tmp_path: Path) -> None:
    for number, picture in enumerate(numbered(3)):
        Image.fromarray(picture).save(frames / f"{number}.jpg", "PNG")
    assert numbers(decode(gathered(frames, tmp_path))) == [0, 1, 2]


def test_transparent_pictures_are_composited_on_white(frames: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (200, 0, 0, 0)).save(frames / "1.png")
    Image.new("RGBA", (8, 8), (200, 0, 0, 255)).save(frames / "2.png")
    first, second = decode(gathered(frames, tmp_path))
    assert (first == 255).all()
    assert (second == (200, 0, 0)).all()


def test_pictures_that_are_not_alike(frames: Path, tmp_path: Path) -> None:
    write(frames, pictures=3)
    Image.new("RGB", (50, 40)).save(frames / "frame_11.png")
    with pytest.raises(UnreadableMedia, match=r"picture 4 \(frame_11.png\) is PNG of 50x40 pixels.* PNG of 64x48"):
        probe(gathered(frames, tmp_path))
    Image.new("RGB", (WIDTH, HEIGHT)).save(frames / "frame_11.png", "JPEG")
    with pytest.raises(UnreadableMedia, match="is JPEG of"):
        probe(gathered(frames, tmp_path))


@pytest.mark.parametrize("content", [b"", b"#EXTM3U\n/etc/passwd\n", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_not_pictures_are_named(content: bytes, frames: Path, tmp_path: Path) -> None:
    write(frames, pictures=2)
    (frames / "frame_10.png").write_bytes(content)
    with pytest.raises(UnreadableMedia, match=r"take.*picture 3 \(frame_10.png\) cannot be read as PNG"):
        probe(gathered(frames, tmp_path))


def test_limits_and_clips_in_the_place_of_pictures(
    frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(frames, pictures=3)
    clip = gathered(frames, tmp_path)
    monkeypatch.setenv("TROUPE_MAX_CLIP_FRAMES", "2")
    with pytest.raises(TooLarge, match="has 3 pictures; the limit is 2"):
        probe(clip)
    (frames / "frame_9.png").write_bytes(make_clip(tmp_path / "clip.mp4", numbered(2)).read_bytes())
    monkeypatch.delenv("TROUPE_MAX_CLIP_FRAMES")
    with pytest.raises(InputError, match=r"frame_9\.png"):
        probe(gathered(frames, tmp_path))


def test_pictures_of_phones_may_be_mixed_with_plain_ones(frames: Path, tmp_path: Path) -> None:
    """Phones write MPO under the name of a JPEG: a picture followed by a depth or gain map."""
    for number, picture in enumerate(numbered(6)):
        image, path = Image.fromarray(picture), frames / f"{number}.jpg"
        if number % 2:
            image.save(path, "MPO", save_all=True, append_images=[image.resize((16, 12))], quality=95)
        else:
            image.save(path, quality=95)
    clip = gathered(frames, tmp_path)
    assert numbers(decode(clip)) == list(range(6))


def test_colours_are_converted_by_the_profile(frames: Path, tmp_path: Path) -> None:
    image = Image.new("RGB", (WIDTH, HEIGHT), WIDE_RED)
    image.save(frames / "0.png", icc_profile=wide_gamut_profile())
    image.save(frames / "1.png")
    assert (list(decode(gathered(frames, tmp_path)))[1] == WIDE_RED).all()
    image.save(tmp_path / "one.png", icc_profile=wide_gamut_profile())
    for clip in (gathered(frames, tmp_path), tmp_path / "one.png"):
        assert np.abs(next(decode(clip)).astype(int) - (255, 0, 0)).max() <= 2
        assert clip_traits(clip) == {"colour": "srgb"}
    (note,) = clip_notes(gathered(frames, tmp_path))
    assert note.startswith("video: its colours were converted from")

"""The watermark of small videos: what it survives, who can read it, and what it costs the picture."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.miniature import FIRST_HELD_OUT_SEED, Identity, Performance, render
from tasks import media
from tasks.media.watermark import PUBLIC_KEY, Watermarker, WatermarkKey, read_watermark
from tasks.media.watermark.embed import PSNR
from troupe import Picture

RATE = Fraction(25)
SIDE = 256
FRAMES = 40
PAYLOAD = bytes.fromhex("0123456789abcdef")
KEY = WatermarkKey.of(b"a key of this test")
ATTACKS = {
    "remux": ["-c", "copy"],
    "crf 18": ["-crf", "18"],
    "crf 23": ["-crf", "23"],
    "crf 28": ["-crf", "28"],
    "half size": ["-vf", "scale=iw/2:ih/2", "-crf", "23"],
    "crop": ["-vf", "crop=iw*0.9:ih*0.9:iw*0.07:ih*0.03", "-crf", "23"],
    "brighter": ["-vf", "eq=brightness=0.05", "-crf", "23"],
    "screen": ["-vf", "scale=720:720", "-b:v", "2M", "-preset", "veryfast"],
}


def drawn(number: int, side: int = SIDE, frames: int = FRAMES) -> list[Picture]:
    """Return frames of a drawn person."""
    moments = Performance.from_seed(FIRST_HELD_OUT_SEED + number, frames, 25).moments
    person = Identity.from_seed(FIRST_HELD_OUT_SEED + number)
    return [render(person, moment, (side, side))[0] for moment in moments]


def psnr(one: list[Picture], other: list[Picture]) -> float:
    return min(float(cv2.PSNR(a, b)) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `marked.mp4` and `plain.mp4`."""
    folder = tmp_path_factory.mktemp("watermark")
    frames = drawn(1)
    watermarker = Watermarker(KEY, PAYLOAD, (SIDE, SIDE), RATE)
    marked = [watermarker(frame, index) for index, frame in enumerate(frames)]
    assert psnr(frames, marked) > PSNR - 0.2
    media.encode(marked, folder / "marked.mp4", rate=RATE, size=(SIDE, SIDE))
    media.encode(frames, folder / "plain.mp4", rate=RATE, size=(SIDE, SIDE))
    return folder


@pytest.mark.parametrize("attack", ATTACKS)
def test_copies_are_recognised(folder: Path, tmp_path: Path, attack: str) -> None:
    copy = tmp_path / "copy.mp4"
    command = [media.ffmpeg_binary(), "-loglevel", "error", "-i", str(folder / "marked.mp4"), *ATTACKS[attack]]
    subprocess.run([*command, str(copy)], check=True)
    found = read_watermark(copy, KEY)
    assert found is not None
    assert (found.payload, found.key_id) == (PAYLOAD.hex(), KEY.id)


def test_other_keys_and_other_videos_have_none(folder: Path) -> None:
    assert read_watermark(folder / "marked.mp4", PUBLIC_KEY) is None
    assert read_watermark(folder / "plain.mp4", KEY) is None


def test_a_single_picture_is_recognised(folder: Path, tmp_path: Path) -> None:
    (frame, *_) = media.decode(folder / "marked.mp4")
    media.write_poster(frame, tmp_path / "poster.jpg")
    found = read_watermark(tmp_path / "poster.jpg", KEY)
    assert found is not None
    assert found.payload == PAYLOAD.hex()


@pytest.mark.parametrize("level", [0, 128, 255])
def test_flat_frames_keep_their_quality(level: int) -> None:
    flat = [np.full((97, 333, 3), level, np.uint8)] * 2
    watermarker = Watermarker(KEY, PAYLOAD, (333, 97), RATE)
    marked = [watermarker(flat[0], 0), watermarker(flat[1], 30)]
    assert psnr(flat, marked) > PSNR
    assert marked[0].shape == flat[0].shape
    if level == 128:
        assert (marked[0].astype(int) + marked[1] == 256).all(), "every second the sign changes"

"""Inputs for a first run, drawn on the spot: portraits, and driving clips with sound."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageOps

from catalogs.store import uris
from models.miniature import FIRST_HELD_OUT_SEED
from models.synthetic.voice import SAMPLE_RATE, synthesise_voice
from models.synthetic.world import CLIP_SIZE, draw_clip, draw_portrait
from tasks.media import AudioSource, VideoMetadata, decode, encode
from troupe import Picture

__all__ = ["draw_strip", "prepare_demo"]

PORTRAITS = {"ruby": FIRST_HELD_OUT_SEED, "olive": FIRST_HELD_OUT_SEED + 5}
"""Names and seeds of the portraits, which the miniature was not trained on."""
CLIPS = {
    "hello": (FIRST_HELD_OUT_SEED + 3, FIRST_HELD_OUT_SEED + 7, Fraction(25), 50),
    "laugh": (FIRST_HELD_OUT_SEED + 8, FIRST_HELD_OUT_SEED + 11, Fraction(30000, 1001), 60),
}
"""Names of the clips with their seeds of person and performance, frames per second and number of frames."""
COLUMNS, CELL_SIDE = 8, 160
"""Size of the strip: frames per row, and pixels of each frame's side."""


def prepare_demo(folder: Path) -> tuple[Path, Path]:
    """Draw two portraits and two driving clips; existing files are kept.

    Returns:
        folders of the portraits and of the clips.
    """
    portraits, drivings = folder / "portraits", folder / "drivings"
    portraits.mkdir(parents=True, exist_ok=True)
    drivings.mkdir(parents=True, exist_ok=True)
    for name, seed in PORTRAITS.items():
        if not (path := portraits / f"{name}.png").exists():
            Image.fromarray(draw_portrait(seed)[0]).save(path)
    for name, (person, performance, rate, frames) in CLIPS.items():
        if not (path := drivings / f"{name}.mp4").exists():
            _write_clip(path, person, performance, rate, frames)
    return portraits, drivings


def draw_strip(manifest: str, path: Path) -> bool:
    """Draw one clip above all its renders, as rows of frames; return False if it has no renders."""
    clip = next(iter(CLIPS))
    rows = [row for row in pq.read_table(manifest).to_pylist() if uris.name(row["driving"]) == f"{clip}.mp4"]
    renders = [uris.local_path(row["full_uri"]) for row in rows if row["full_uri"]]
    if not renders:
        return False
    videos = [uris.local_path(rows[0]["driving"]), *renders]
    strip = np.concatenate([_row(decode(video), CLIPS[clip][3]) for video in videos if video])
    Image.fromarray(strip).save(path)
    return True


def _row(frames: Iterable[Picture], count: int) -> Picture:
    """Concatenate `COLUMNS` of `count` frames, cropped to squares."""
    wanted = set(np.linspace(0, count - 1, COLUMNS).round().astype(int).tolist())
    cells = [
        np.asarray(ImageOps.fit(Image.fromarray(frame), (CELL_SIDE, CELL_SIDE)))
        for number, frame in enumerate(frames)
        if number in wanted
    ]
    return np.concatenate(cells, axis=1)


def _write_clip(path: Path, person: int, performance: int, rate: Fraction, frames: int) -> None:
    voice = path.with_suffix(".wav")
    with wave.open(str(voice), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((synthesise_voice(person, performance, frames, rate) * 32767).astype(np.int16).tobytes())
    try:
        pictures = (picture for picture, _ in draw_clip(person, performance, frames, rate))
        encode(pictures, path, rate=rate, size=CLIP_SIZE, audio=AudioSource(voice), metadata=VideoMetadata())
    finally:
        voice.unlink()

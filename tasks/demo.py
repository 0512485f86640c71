"""Inputs for a first run, drawn on the spot: portraits, clips with sound and dubs; and a picture of what came of it."""

from __future__ import annotations

import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont, ImageOps

from catalogs.store import uris
from models.miniature import FIRST_HELD_OUT_SEED
from models.synthetic.voice import SAMPLE_RATE, synthesise_voice
from models.synthetic.world import CLIP_SIZE, draw_clip, draw_portrait
from tasks.media import AudioSource, VideoMetadata, decode, encode, find_audio, probe
from tasks.media.sound import mono_blocks
from troupe import Floats, Picture

__all__ = ["draw_comparison", "prepare_demo", "prepare_jobs"]

PORTRAITS = {"ruby": FIRST_HELD_OUT_SEED + 2, "olive": FIRST_HELD_OUT_SEED + 1}
"""Names and seeds of the portraits, which the miniature was not trained on."""
CLIPS = {
    "hello": (FIRST_HELD_OUT_SEED + 9, FIRST_HELD_OUT_SEED + 147, Fraction(25), 70),
    "laugh": (FIRST_HELD_OUT_SEED + 8, FIRST_HELD_OUT_SEED + 11, Fraction(30000, 1001), 40),
}
"""Names of the clips with their seeds of person and performance, frames per second and number of frames."""
DUBBED, SPEAKER = "hello", "ruby"
"""The clip that has dubs, and the portrait that speaks them."""
DUBS = {"art-x-one": FIRST_HELD_OUT_SEED + 20_051, "art-x-two": FIRST_HELD_OUT_SEED + 20_102}
"""Language tags of the dubs with the seeds of the performances that they sound like: vowels of no real language."""
JOBS = """\
portrait,driving,identity,audio,languages,lips
portraits/ruby.png,drivings/hello.mp4,Ruby,,,
portraits/ruby.png,drivings/laugh.mp4,Ruby,,,
portraits/olive.png,drivings/hello.mp4,Olive,,,
portraits/olive.png,drivings/laugh.mp4,Olive,,,
portraits/ruby.png,drivings/hello.mp4,Ruby,dubs/hello.{language}.wav,art-x-one;art-x-two,sound
"""
CELL, GAP, CAPTION, WAVE = 200, 8, 26, 44
"""Pixels of the comparison: side of each picture, space between them, and heights of captions and sounds."""
MARGIN = 0.08
"""Share of the pictures' sides that is cut off at each edge, so that mouths are larger."""
PAPER, INK, PALE = (255, 255, 255), (36, 41, 47), (190, 198, 206)


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


def prepare_jobs(folder: Path) -> Path:
    """Draw what `prepare_demo` draws and two dubs of a clip; existing files are kept.

    Returns:
        jobs file: every portrait acts every clip, and one speaks both dubs.
    """
    prepare_demo(folder)
    _, _, rate, frames = CLIPS[DUBBED]
    (folder / "dubs").mkdir(exist_ok=True)
    for language, performance in DUBS.items():
        if not (path := folder / "dubs" / f"{DUBBED}.{language}.wav").exists():
            _write_sound(path, synthesise_voice(PORTRAITS[SPEAKER], performance, frames, rate))
    if not (jobs := folder / "jobs.csv").exists():
        jobs.write_text(JOBS)
    return jobs


def draw_comparison(manifest: str, path: Path) -> bool:
    """Draw a portrait, its clip, and its renders with lips by sound in motion; return False if there are none.

    The file is an animated WebP in the clip's time, with the sound of each video below it.
    """
    rows = [row for row in pq.read_table(manifest).to_pylist() if row["lips"] == "sound" and row["full_uri"]]
    rows = [row for row in rows if row["driving"] == rows[0]["driving"] and row["portrait"] == rows[0]["portrait"]]
    if not rows:
        return False
    with Image.open(_local(rows[0]["portrait"])) as picture:
        portrait = _cell(picture.convert("RGB"))
    videos = {"driving clip": _local(rows[0]["driving"])}
    videos |= {f"lips by sound {n}": _local(row["full_uri"]) for n, row in enumerate(rows, start=1)}
    rate = probe(next(iter(videos.values()))).rate
    paper = Image.new("RGB", (GAP + (CELL + GAP) * (len(videos) + 1), GAP + CELL + CAPTION + WAVE), PAPER)
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(15)
    paper.paste(portrait, (GAP, GAP))
    for column, caption in enumerate(("portrait", *videos)):
        middle = (GAP + (CELL + GAP) * column + CELL // 2, GAP + CELL + CAPTION // 2)
        draw.text(middle, caption, INK, font, anchor="mm")
    loudness = [_loudness(video) for video in videos.values()]
    frames = [
        _frame(paper, pictures, loudness, number)
        for number, pictures in enumerate(zip(*(decode(video) for video in videos.values()), strict=False))
    ]
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=round(1000 / float(rate)), loop=0, quality=80, method=4
    )
    return True


def _frame(paper: Image.Image, pictures: tuple[Picture, ...], loudness: list[Floats], number: int) -> Image.Image:
    """Return the comparison at one frame: what was heard until then is dark."""
    frame = paper.copy()
    draw = ImageDraw.Draw(frame)
    for column, (picture, loud) in enumerate(zip(pictures, loudness, strict=True), start=1):
        left = GAP + (CELL + GAP) * column
        frame.paste(_cell(Image.fromarray(picture)), (left, GAP))
        middle = GAP + CELL + CAPTION + (WAVE - GAP) // 2
        width = CELL / len(loud)
        for index, value in enumerate(loud):
            half = 1 + value * ((WAVE - GAP) // 2 - 1)
            box = (left + index * width, middle - half, left + (index + 1) * width - 1, middle + half)
            draw.rectangle(box, INK if index <= number else PALE)
    return frame


def _cell(picture: Image.Image) -> Image.Image:
    return ImageOps.fit(picture, (CELL, CELL), Image.Resampling.LANCZOS, MARGIN)


def _local(uri: str) -> Path:
    path = uris.local_path(uri)
    assert path is not None, f"{uri} is not in the demo's folder"
    return path


def _loudness(video: Path) -> Floats:
    """Return (F,) the loudness of a video's sound at each frame, 0..1."""
    found, audio = probe(video), find_audio(AudioSource(video))
    assert audio is not None, f"{video} has no sound"
    samples = np.concatenate([np.zeros(1, np.float32), *mono_blocks(audio, float(found.frames / found.rate))])
    parts = np.array_split(samples, found.frames)
    loud = np.array([np.sqrt(np.square(part).mean()) for part in parts], np.float32)
    return loud / max(float(loud.max()), 1e-6)


def _write_clip(path: Path, person: int, performance: int, rate: Fraction, frames: int) -> None:
    voice = path.with_suffix(".wav")
    _write_sound(voice, synthesise_voice(person, performance, frames, rate))
    try:
        pictures = (picture for picture, _ in draw_clip(person, performance, frames, rate))
        encode(pictures, path, rate=rate, size=CLIP_SIZE, audio=AudioSource(voice), metadata=VideoMetadata())
    finally:
        voice.unlink()


def _write_sound(path: Path, samples: Floats) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples * 32767).astype(np.int16).tobytes())

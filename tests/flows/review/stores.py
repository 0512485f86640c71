"""Stores to review: rows, and beside them videos and pictures of the synthetic world."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from catalogs.store.store import Store, open_store
from catalogs.table.schema import Row
from tests.catalogs.conftest import NOON, record, row
from tests.flows.cast import write_clip, write_portrait
from troupe.errors import NoFace

__all__ = ["film", "review_store", "write_media"]

FRAMES = 50


def film(number: int, language: str = "", *, run: str = "r1", **columns: Any) -> Row:
    """A row of a finished film: of the picture with this number, in a language."""
    name = f"{number:03d}{f'.{language}' if language else ''}"
    key = f"{number:030x}{zlib.crc32(language.encode()) % 256:02x}"
    files = {"full_uri": f"/store/renders/{key}/full.mp4", "poster_uri": f"/store/renders/{key}/poster.jpg"}
    video = {"frames": FRAMES, "seconds": FRAMES / 25, "bytes": 10**5, "width": 192, "height": 192}
    keys = {"render_key": key, "picture_key": f"{number:032x}", "appearance_key": "a" * 32, "motion_key": "b" * 32}
    measures = {
        "quality_identity": round(0.4 + number % 10 * 0.05, 2),
        "quality_flicker": 1.5 + number % 7,
        "sync_offset_frames": number % 4,
        "sync_confidence": 0.61,
    }
    more = {"fps_numerator": 25, "fps_denominator": 1, "audio": "driving", "preset": "draft"}
    row_columns = {"identity": f"Person {number % 5}", "language": language or None, **files, **video, **keys}
    row_columns |= {**measures, **more, "recorded_at": NOON + timedelta(seconds=number), **columns}
    status = row_columns.pop("status", "done")
    made = row(run, f"job-{name}", status, **{k: v for k, v in row_columns.items() if k not in ("driving", "portrait")})
    return made | {name: row_columns[name] for name in ("driving", "portrait") if name in row_columns}


def write_media(folder: Path) -> None:
    """Write `clip.mp4`, `film.mp4` and `portrait.png` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_portrait(folder / "portrait.png", 0)
    write_clip(folder / "clip.mp4", frames=FRAMES, rate="25")
    write_clip(folder / "film.mp4", frames=FRAMES, rate="25")


def review_store(root: Path, media: Path, rows: list[Row], failed: int = 0) -> Store:
    """Return a store in a folder with these rows, and their media.

    Args:
        root: folder of the store.
        media: folder that `write_media` has filled.
        rows: rows of finished jobs, of one run or several.
        failed: number of further jobs that failed.
    """
    store = open_store(str(root))
    by_run: dict[str, list[Row]] = {}
    for entry in rows:
        by_run.setdefault(entry["run_id"], []).append(entry)
        for source, name in _files(entry):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copyfile(media / source, target)
    by_run.setdefault("r1", []).extend(
        row("r1", f"failed-{n}", "failed", error=NoFace(f"no face found in {n}.png")) for n in range(failed)
    )
    for run, entries in by_run.items():
        record(store, run, entries)
    return store


def _files(entry: Row) -> Iterator[tuple[str, str]]:
    folder = f"renders/{entry['render_key']}"
    yield "film.mp4", f"{folder}/full.mp4"
    yield "portrait.png", f"{folder}/poster.jpg"
    yield "portrait.png", f"cache/appearance/{entry['appearance_key']}.jpg"
    yield "portrait.png", f"cache/motion/{entry['motion_key']}.jpg"

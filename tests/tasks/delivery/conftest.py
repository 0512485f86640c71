"""Stores whose films are made by hand, for packages."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import av
import pytest

from catalogs.query.jobs import list_jobs
from catalogs.store.store import Store, open_store
from catalogs.table.row_buffer import RowBuffer
from tasks.delivery import PackagesReport, deliver_packages
from tests.catalogs.conftest import row
from tests.films import TONES, write_film, write_films, write_picture, write_subtitles


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Films of one picture by language; `long`, of a longer one; `silent`."""
    folder = tmp_path_factory.mktemp("films")
    found = write_films(folder, frames=25)
    longer = write_picture(folder / "longer.mp4", 30)
    texts = {f"{tag}.vtt": path for tag, path in write_subtitles(folder).items()}
    return {**found, **texts, "long": write_film(folder / "long.mp4", longer), "silent": folder / "picture.mp4"}


class Catalog:
    """A store whose rows are made by hand."""

    def __init__(self, store: Store, films: dict[str, Path]) -> None:
        self.store, self._films = store, films

    def add(self, job_id: str, film: str, language: str | None, run_id: str = "r1", **columns: Any) -> None:
        """Add a film of the picture `p1`."""
        key = columns.pop("render_key", f"key-{run_id}-{job_id}")
        data = self._films[film].read_bytes()
        self.store.put_bytes(data, f"renders/{key}/full.mp4")
        frames = 30 if film == "long" else 25
        made = row(run_id, job_id, identity=columns.pop("identity", "Ada")) | {
            "render_key": key,
            "picture_key": "p1",
            "full_uri": self.store.uri(f"renders/{key}/full.mp4"),
            "checksum": hashlib.sha256(data).hexdigest(),
            "language": language,
            "frames": frames,
            "seconds": frames / 25,
        }
        with RowBuffer(self.store, run_id) as buffer:
            buffer.append(made | columns)

    def pack(self, target: Path | str, kind: str = "mp4", **options: Any) -> PackagesReport:
        rows = list_jobs(self.store, run=options.pop("run", None))
        return deliver_packages(self.store, rows, open_store(str(target)), kind, **options)  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path, films: dict[str, Path]) -> Catalog:
    return Catalog(open_store(str(tmp_path / "store")), films)


@pytest.fixture
def welcome(catalog: Catalog) -> Catalog:
    """Three languages of one picture."""
    for tag in TONES:
        catalog.add(f"welcome.{tag}", tag, tag)
    return catalog


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "packages.jsonl").read_text().splitlines()]


def languages(path: Path) -> list[str | None]:
    with av.open(str(path)) as container:
        return [stream.language for stream in container.streams.audio]


LISTS = {"manifest.csv", "manifest.parquet", "packages.jsonl"}

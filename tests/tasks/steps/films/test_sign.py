"""Films that a worker cannot sign as its run was planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.credentials.authority import create_authority
from tasks.steps.context import WorkerConfig, WorkerContext
from tasks.steps.films.sign import SignedFilm, sign_film
from tasks.steps.specs import FilmSpec
from troupe import Job
from troupe.errors import SigningError

FILM = SignedFilm({}, Path("poster.jpg"))


def spec(signer: str) -> FilmSpec:
    nothing: Any = None
    return FilmSpec("film", "r1", Job("one", "p.png", "c.mp4"), nothing, signer=signer)


def context(tmp_path: Path, credentials: str = "") -> WorkerContext:
    config = WorkerConfig(
        str(tmp_path / "store"), "w", "", "cpu", "auto", tmp_path / "scratch", credentials=credentials
    )
    return WorkerContext(config)


def test_a_worker_without_a_signer(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="this worker has no signer: set the variables TROUPE_SIGNING"):
        sign_film(context(tmp_path), spec("abc"), FILM, tmp_path)


def test_a_worker_with_another_certificate(tmp_path: Path) -> None:
    create_authority(tmp_path / "own", "Ada's studio")
    with pytest.raises(SigningError, match="planned for another signing certificate than this worker's, CN=Ada's"):
        sign_film(context(tmp_path, str(tmp_path / "own")), spec("abc"), FILM, tmp_path)

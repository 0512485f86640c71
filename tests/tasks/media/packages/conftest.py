"""Tracks of a package in three languages."""

from __future__ import annotations

import pytest

from tasks.media.languages import language_name
from tasks.media.packages import PackageTrack
from tests.films import write_films, write_subtitles


@pytest.fixture(scope="session")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> list[PackageTrack]:
    """Films of one picture, 2 s long, with subtitles; French is the default."""
    folder = tmp_path_factory.mktemp("films")
    films, texts = write_films(folder), write_subtitles(folder)
    return [PackageTrack(path, tag, language_name(tag), tag == "fr", texts[tag]) for tag, path in films.items()]

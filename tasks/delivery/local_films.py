"""The files of films on this machine, and which of them can share a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalogs.export.fetch import chosen_uri, fetch_file
from catalogs.store.store import Store
from tasks.delivery.families import Film, default_of, track_names
from tasks.media.packages import PackageTrack, StreamDigest, stream_digests

__all__ = ["LocalFilm", "fetch_film", "groups_of", "tracks_of"]


@dataclass(frozen=True)
class LocalFilm:
    """A film and its files on this machine; films of one `picture` can share a video."""

    film: Film
    video: Path
    subtitles: Path | None
    picture: Sequence[StreamDigest]
    silent: bool


def fetch_film(store: Store, film: Film, folder: Path, *, crop: bool) -> LocalFilm:
    """Fetch the files of a film to an empty folder.

    Raises:
        TroupeError: one of them is missing, damaged, or not a video.
    """
    folder.mkdir()
    video, _ = fetch_file(store, film.row, chosen_uri(film.row, crop=crop), folder)
    subtitles = film.row.get("subtitles_vtt_uri")
    text = fetch_file(store, film.row, subtitles, folder)[0] if subtitles else None
    return LocalFilm(film, video, text, stream_digests(video, "video"), not stream_digests(video, "audio"))


def groups_of(films: Sequence[LocalFilm]) -> list[list[LocalFilm]]:
    """Group films that can share a video, because their pictures are the same bit by bit; silent ones are apart."""
    groups: dict[Any, list[LocalFilm]] = {}
    for local in films:
        groups.setdefault((*local.picture, local.silent), []).append(local)
    return list(groups.values())


def tracks_of(group: Sequence[LocalFilm], default_language: str) -> tuple[list[PackageTrack], list[str]]:
    """Return the tracks of a package, and notes about them."""
    films = [local.film for local in group]
    default, names = default_of(films, default_language), track_names(films)
    tracks = [
        PackageTrack(
            local.video,
            local.film.language,
            names.sounds[n],
            n == default,
            local.subtitles,
            local.film.subtitles_language,
            names.subtitles[n],
        )
        for n, local in enumerate(group)
    ]
    return tracks, list(names.notes)

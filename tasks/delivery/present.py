"""Packages that are in the target already: those that are listed, and those of an export that was killed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from catalogs.store.store import Store
from tasks.credentials.reader import read_unsigned_claims
from tasks.delivery.families import Family
from tasks.delivery.listing import Entry
from tasks.media.provenance import VideoMetadata
from troupe.process.scratch import scratch_folder

__all__ = ["is_whole", "metadata_of", "other_packages"]


def is_whole(target: Store, entry: Entry) -> bool:
    """Return whether all files of a listed package are there, unchanged.

    Raises:
        StoreError: the target cannot be read.
    """
    return all(
        target.size(file["file"]) == file["bytes"] and target.sha256(file["file"]) == file["sha256"]
        for file in entry["files"]
    )


def metadata_of(target: Store, file: str, jobs: Iterable[str]) -> VideoMetadata | None:
    """Return the runs and jobs that a package in the target names, so that the same can be written again.

    Args:
        file: the file that is opened to play it.
        jobs: job_ids of those whose package it may be.

    Returns:
        None if the file is something else.

    Raises:
        StoreError: the target cannot be read.
    """
    with scratch_folder() as folder:
        target.get(file, folder / "package")
        claims = read_unsigned_claims(folder / "package")
    if claims is None:
        return None
    films = [(film.run_id, film.job_id) for film in claims.films] or [(claims.run_id, claims.job_id)]
    runs, named = (list(dict.fromkeys(values)) for values in zip(*films, strict=True))
    return VideoMetadata(", ".join(runs), ", ".join(named)) if set(named) <= set(jobs) else None


def other_packages(target: Store, listed: Sequence[Entry], packages: tuple[Family, Sequence[str]]) -> list[str]:
    """Return the names of a family's packages that other files have, as far as this can be said before packing it.

    Args:
        listed: listed packages of the same kind.
        packages: the family, and names that its packages get unless they are listed.

    Raises:
        StoreError: the target cannot be read.
    """
    family, names = packages
    films = {film.row["render_key"] for film in family.films} - {None}
    if any(track["render_key"] in films for entry in listed for track in entry["tracks"]):
        return []  # which of its packages are new is known only once they are packed
    jobs = [film.row["job_id"] for film in family.films]
    return [name for name in names[:1] if target.exists(name) and metadata_of(target, name, jobs) is None]

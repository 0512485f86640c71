"""Delivery of the films of each picture as one package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalogs.export.deliver import THREADS
from catalogs.export.fetch import chosen_uri, fetch_file
from catalogs.export.filenames import NameTemplate, numbered
from catalogs.export.films import film_content, films_of
from catalogs.export.manifest import MANIFEST_FILES, manifest_row, read_manifest, save_manifest
from catalogs.export.target import put_file, refuse_stores
from catalogs.store.keys import make_key
from catalogs.store.store import Store
from tasks.credentials.signer import Signer
from tasks.delivery.families import Family, Film, check_default, default_of, families_of, track_names
from tasks.delivery.listing import PACKAGES_FILE, Entry, read_packages, write_packages
from tasks.delivery.signed import signature_notes, signed_files
from tasks.media.languages import same_language
from tasks.media.packages import (
    Package,
    PackageKind,
    PackageTrack,
    StreamDigest,
    package_suffix,
    stream_digests,
    write_package,
)
from tasks.media.provenance import VideoMetadata
from troupe.errors import SigningError, TroupeError
from troupe.files import file_sha256
from troupe.process.scratch import scratch_folder

__all__ = ["PackagesReport", "deliver_packages"]


@dataclass(frozen=True)
class PackagesReport:
    """Result of a delivery of packages.

    Attributes:
        created: number of packages written.
        unchanged: number of packages that were there already.
        films: number of films in these.
        recorded: number of these that no earlier export put there, as the event of the export has it.
        notes: what was decided, converted or left out, a line each.
        missing: one line per film that could not be read, and per package that was not written.
        manifest: URI of the manifest beside the packages.
    """

    created: int
    unchanged: int
    films: int
    recorded: int
    notes: tuple[str, ...]
    missing: tuple[str, ...]
    manifest: str


@dataclass(frozen=True)
class _LocalFilm:
    """A film and its files on this machine; films of one `picture` can share a video."""

    film: Film
    video: Path
    subtitles: Path | None
    picture: Sequence[StreamDigest]
    silent: bool


@dataclass
class _Packed:
    """What became of a family."""

    created: int = 0
    entries: list[Entry] = field(default_factory=list)
    rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def deliver_packages(
    store: Store,
    rows: pa.Table,
    target: Store,
    kind: PackageKind,
    name: str = "{identity}/{job_id}",
    *,
    default_language: str = "",
    crop: bool = False,
    posters: bool = False,
    excel: bool = False,
    signer: Signer | None = None,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> PackagesReport:
    """Write a package for each picture, with a track for each of its films, and the manifest beside them.

    Idempotent as `catalogs.export.deliver.deliver` is, whose manifest this one extends: it has a row per film, and
    `packages.jsonl` lists the files of the packages. A package appears whole: of HLS, the multivariant playlist last. A
    package of which a film is missing is not written.

    Args:
        store: store of the catalog that the rows are from.
        rows: rows with all columns; those without a video are skipped.
        target: destination of the packages.
        kind: kind of package.
        name: template, see `NameTemplate`; `job_id` is the first film's without its language.
        default_language: language that players choose; empty for that of the first film.
        crop: whether to pack the animated square instead of the full picture, where a job has both.
        posters: whether to copy the poster of each package, too.
        excel: whether Excel shall show the text in `manifest.csv` right.
        signer: signer of the packages; HLS is not signed.
        on_progress: called with the number of films that are done, and of all.

    Raises:
        SettingsError: the template is invalid for these films, none is in the default language, or the target has
            other files of these names.
        StoreError: the target cannot be written.
    """
    template = NameTemplate(name, rows.column_names)
    refuse_stores(store, target)
    films = films_of(rows)
    template.check_tags(films)
    suffix = package_suffix(kind)
    families = families_of(films, template, suffix)
    check_default(families, default_language)
    earlier, listed = read_manifest(target), read_packages(target)
    known = {entry["key"]: entry["file"] for entry in listed}
    delivery = _Delivery(store, target, kind, default_language, crop, posters, known, signer if kind != "hls" else None)
    taken = {**MANIFEST_FILES, PACKAGES_FILE: "", **dict(earlier.keys()), **{e["file"]: e["key"] for e in listed}}
    # Before anything is written, so that the names do not depend on which family is packed first.
    wanted = [(family.name, f"{n} {v}") for n, family in enumerate(families) for v in range(family.variants)]
    names = numbered(wanted, taken, suffix)
    places = [[next(names) for _ in range(family.variants)] for family in families]

    total, done, packed = sum(len(family.films) for family in families), 0, list[_Packed]()
    on_progress(0, total)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="deliver") as threads:
        for family, outcome in zip(families, threads.map(delivery.pack, families, places), strict=True):
            packed.append(outcome)
            done += len(family.films)
            on_progress(done, total)
    entries = [entry for outcome in packed for entry in outcome.entries]
    exported = {key: row for outcome in packed for key, row in outcome.rows.items()}
    write_packages(target, [*listed, *entries])
    created = sum(outcome.created for outcome in packed)
    return PackagesReport(
        created,
        len(entries) - created,
        len(exported),
        len(exported.keys() - earlier.keys()),
        (*(note for outcome in packed for note in outcome.notes), *signature_notes(kind, films, signer)),
        tuple(line for outcome in packed for line in outcome.missing),
        save_manifest(store, target, earlier, exported, rows.schema, excel=excel),
    )


@dataclass(frozen=True)
class _Delivery:
    """What is the same for all families; arguments of `deliver_packages`, and the files of known packages by key."""

    store: Store
    target: Store
    kind: PackageKind
    default_language: str
    crop: bool
    posters: bool
    known: dict[str, str]
    signer: Signer | None

    def pack(self, family: Family, names: Sequence[str]) -> _Packed:
        """Write the packages of a family under these names."""
        packed = _Packed()
        with scratch_folder() as scratch:
            fetched: list[_LocalFilm] = []
            for n, film in enumerate(family.films):
                try:
                    fetched.append(self._fetch(film, scratch / f"film-{n}"))
                except TroupeError as error:
                    packed.missing.append(f"{film.row['job_id']}: {error.message}")
            if packed.missing:
                packed.missing.append(f"{family.name}: not written, because films of it are missing")
                return packed
            try:
                groups = _groups(fetched)
                packages = [self._write(group, scratch / f"package-{n}") for n, group in enumerate(groups)]
            except TroupeError as error:
                packed.missing.append(f"{family.name}: {error.message}")
                return packed
            free = iter(names)
            for group, (package, tracks) in zip(groups, packages, strict=True):
                try:
                    self._publish(group, package, tracks, free, packed)
                except SigningError as error:
                    packed.missing.append(f"{family.name}: {error.message}")
                    return packed
        if len(groups) > 1:
            parts = [
                f"{entry['file']} ({', '.join(entry['languages']) or 'without sound'}, {entry['seconds'] or 0:.2f} s)"
                for entry in packed.entries
            ]
            packed.notes.append(f"{len(groups)} packages, because the videos of the films differ: {', '.join(parts)}")
        return packed

    def _fetch(self, film: Film, folder: Path) -> _LocalFilm:
        folder.mkdir()
        video, _ = fetch_file(self.store, film.row, chosen_uri(film.row, crop=self.crop), folder)
        subtitles = film.row.get("subtitles_vtt_uri")
        text = fetch_file(self.store, film.row, subtitles, folder)[0] if subtitles else None
        return _LocalFilm(film, video, text, stream_digests(video, "video"), not stream_digests(video, "audio"))

    def _write(self, group: Sequence[_LocalFilm], folder: Path) -> tuple[Package, list[PackageTrack]]:
        """Write a package to a folder; return it and its tracks."""
        folder.mkdir()
        films = [local.film for local in group]
        default, names = default_of(films, self.default_language), track_names(films)
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
        runs, jobs = ({str(local.film.row[column]): None for local in group} for column in ("run_id", "job_id"))
        metadata = VideoMetadata(", ".join(runs), ", ".join(jobs))
        package = write_package(self.kind, folder, tracks, metadata)
        return replace(package, notes=[*names.notes, *package.notes]), tracks

    def _publish(
        self,
        group: Sequence[_LocalFilm],
        package: Package,
        tracks: Sequence[PackageTrack],
        free: Iterator[str],
        packed: _Packed,
    ) -> None:
        """Put the files of a package, the one that makes it playable last, and note what is in it."""
        films = [
            [film_content(local.film.row), track.title, track.default, track.text.title if track.subtitles else ""]
            for local, track in zip(group, tracks, strict=True)
        ]
        by = {"signer": self.signer.key} if self.signer is not None else {}
        key = make_key("package", package=self.kind, crop=self.crop, films=films, **by)
        file = self.known.get(key) or next(free)
        folder = file.removesuffix(package_suffix(self.kind)) if self.kind == "hls" else ""
        default = next(n for n, track in enumerate(tracks) if track.default)
        listed, created = [], False
        files = package.files
        if self.signer is not None:
            made_of = [(local.film.row, local.video) for local in group]
            made_of.insert(0, made_of.pop(default))
            place_of = partial(self._place, file)
            files = signed_files(self.signer, files[""], key, made_of, self.target, place_of)
        for path, local_file in files.items():
            place, sha256 = self._place(file, path), file_sha256(local_file)
            created = put_file(self.target, (local_file, sha256), place) or created
            listed.append({"file": place, "bytes": local_file.stat().st_size, "sha256": sha256})
        poster = self._put_poster(group[default].film.row, folder, file)
        notes = [*package.notes]
        wanted = self.default_language
        if wanted and not group[0].silent and not same_language(tracks[default].language, wanted):
            notes.append(f"there is no film in {wanted}, so that {tracks[default].language} is the default")
        languages = [] if group[0].silent else list(dict.fromkeys(track.language for track in tracks))
        packed.created += created
        packed.notes += [f"{file}: {note}" for note in notes]
        packed.entries.append(
            {
                "file": file,
                "package": self.kind,
                "key": key,
                "languages": languages,
                "default_language": tracks[default].language if languages else None,
                "subtitles": [track.text.language for track in tracks if track.subtitles],
                "seconds": group[0].film.row["seconds"],
                "signature": "unsigned" if self.signer is None else "signed",
                "signer": None if self.signer is None else self.signer.subject,
                "poster_file": poster,
                "tracks": [
                    {
                        "language": track.language,
                        "title": track.title,
                        "default": track.default,
                        "subtitles": track.text.title if track.subtitles else None,
                        **{name: local.film.row[name] for name in ("run_id", "job_id", "render_key", "checksum")},
                    }
                    for local, track in zip(group, tracks, strict=True)
                ],
                "files": listed,
                "notes": notes,
            }
        )
        for local, track in zip(group, tracks, strict=True):
            row = manifest_row(local.film.row, file, poster_file=poster, package=self.kind, track=track.title)
            packed.rows[file, film_content(local.film.row)] = row

    def _place(self, file: str, path: str) -> str:
        """Return the key in the target of a file of the package `file`, by its path in the package."""
        stem = file.removesuffix(package_suffix(self.kind))
        return (f"{stem}/{path}" if self.kind == "hls" else f"{stem}{path}") if path else file

    def _put_poster(self, row: dict[str, Any], folder: str, file: str) -> str | None:
        """Put the poster of a package's default film beside it, and return its name."""
        if not self.posters or not row["poster_uri"]:
            return None
        place = f"{folder}/poster.jpg" if folder else f"{file.removesuffix(package_suffix(self.kind))}.jpg"
        with scratch_folder() as scratch:
            put_file(self.target, fetch_file(self.store, row, row["poster_uri"], scratch), place)
        return place


def _groups(films: Sequence[_LocalFilm]) -> list[list[_LocalFilm]]:
    """Group films that can share a video, because their pictures are the same bit by bit; silent ones are apart."""
    groups: dict[Any, list[_LocalFilm]] = {}
    for local in films:
        groups.setdefault((*local.picture, local.silent), []).append(local)
    return list(groups.values())

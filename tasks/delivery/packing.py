"""Packing of families: their films are fetched, grouped by their video, written as packages and put in the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from catalogs.export.fetch import fetch_file
from catalogs.export.films import film_content
from catalogs.export.manifest import manifest_row
from catalogs.export.written import Written
from catalogs.store.keys import make_key
from catalogs.store.store import Store
from tasks.credentials.signer import Signer
from tasks.delivery.families import Family
from tasks.delivery.listing import Entry
from tasks.delivery.local_films import LocalFilm, fetch_film, groups_of, tracks_of
from tasks.delivery.present import is_whole, metadata_of
from tasks.delivery.signed import signed_files
from tasks.media.languages import same_language
from tasks.media.packages import PackageKind, PackageTrack, package_suffix, write_package
from tasks.media.provenance import VideoMetadata
from troupe.errors import TroupeError
from troupe.files import file_sha256
from troupe.process.scratch import scratch_folder

__all__ = ["Packed", "Packer"]


@dataclass
class Packed:
    """What became of a family.

    Attributes:
        created: number of packages that were written.
        entries: their entries of the list, and those of packages that were there.
        notes: what was decided, converted or left out, a line each.
        missing: one line per film that could not be read, and per package that was not written.
    """

    created: int = 0
    entries: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Packer:
    """What is the same for all families.

    Attributes:
        store, target, kind, default_language, crop, posters, signer: see `deliver_packages`.
        listed: packages in the target by key.
        written: notes what is written.
    """

    store: Store
    target: Store
    kind: PackageKind
    default_language: str
    crop: bool
    posters: bool
    signer: Signer | None
    listed: Mapping[str, Entry]
    written: Written

    def pack(self, family: Family, names: Sequence[str], packed: Packed) -> None:
        """Deliver the packages of a family, new ones under these names, and note what became of it.

        Raises:
            SettingsError: another file has one of the names.
            StoreError: the target cannot be read or written.
        """
        with scratch_folder() as scratch:
            fetched, absent = list[LocalFilm](), set[tuple[object, ...]]()
            for n, film in enumerate(family.films):
                try:
                    fetched.append(fetch_film(self.store, film, scratch / f"film-{n}", crop=self.crop))
                except TroupeError as error:
                    packed.missing.append(f"{film.row['job_id']}: {error.message}")
                    absent.add(film.variant)
            free = iter(names)
            for n, group in enumerate(groups_of(fetched)):
                jobs = ", ".join(local.film.row["job_id"] for local in group)
                if any(local.film.variant in absent for local in group):
                    without = f"{family.name}: not written, because films of it are missing"
                    packed.missing.append(f"{without}; left out: {jobs}")
                else:
                    self._deliver(family, group, scratch / f"package-{n}", free, packed)
        if len(packed.entries) > 1:
            parts = [
                f"{entry['file']} ({', '.join(entry['languages']) or 'without sound'}, {entry['seconds'] or 0:.2f} s)"
                for entry in packed.entries
            ]
            packed.notes.append(f"{len(parts)} packages, because the videos of the films differ: {', '.join(parts)}")

    def _deliver(
        self, family: Family, group: Sequence[LocalFilm], folder: Path, free: Iterator[str], packed: Packed
    ) -> None:
        """Deliver the package of films that share a video, unless it is there, and note what is in it."""
        folder.mkdir()
        tracks, notes = tracks_of(group, self.default_language)
        default = next(n for n, track in enumerate(tracks) if track.default)
        language, wanted = tracks[default].language, self.default_language
        if wanted and not group[0].silent and not same_language(language, wanted):
            notes.append(f"there is no film in {wanted}, so that {language} is the default")
        listed = self.listed.get(key := self._key(group, tracks))
        file = listed["file"] if listed else next(free)
        unchanged = listed is not None and is_whole(self.target, listed)
        row = group[default].film.row
        poster = self._poster(file) if self.posters and row["poster_uri"] else None
        files: Mapping[str, Path] = {}
        try:
            if not unchanged:
                metadata = self._metadata(group, file, listed)
                package = write_package(self.kind, folder, tracks, metadata)
                notes += package.notes
                files = self._signed(group, default, package.files, key, file)
            pictures = {poster: fetch_file(self.store, row, row["poster_uri"], folder)} if poster else {}
        except TroupeError as error:
            jobs = ", ".join(local.film.row["job_id"] for local in group)
            packed.missing.append(f"{family.name} ({jobs}): {error.message}")
            return
        puts = {self._place(file, path): (local, file_sha256(local)) for path, local in files.items()}
        rows = {
            (file, film_content(local.film.row)): manifest_row(
                local.film.row, file, poster_file=poster, package=self.kind, track=track.title
            )
            for local, track in zip(group, tracks, strict=True)
        }
        created = self.written.put(rows, self.target, {**puts, **pictures})
        packed.created += any(created[place] for place in puts)
        if listed is not None:  # it names the runs of the time when it was made
            notes = list(dict.fromkeys([*listed["notes"], *notes]))
        packed.notes += [f"{file}: {note}" for note in notes]
        if listed is not None and unchanged:
            packed.entries.append(listed | {"poster_file": poster or listed["poster_file"], "notes": notes})
            return
        languages = [] if group[0].silent else list(dict.fromkeys(track.language for track in tracks))
        described = [
            {
                "language": track.language,
                "title": track.title,
                "default": track.default,
                "subtitles": track.text.title if track.subtitles else None,
                **{name: local.film.row[name] for name in ("job_id", "render_key", "checksum")},
                "run_id": local.film.run_id,
            }
            for local, track in zip(group, tracks, strict=True)
        ]
        packed.entries.append(
            {
                "file": file,
                "package": self.kind,
                "key": key,
                "languages": languages,
                "default_language": tracks[default].language if languages else None,
                "subtitles": [track.text.language for track in tracks if track.subtitles],
                "seconds": row["seconds"],
                "signature": "unsigned" if self.signer is None else "signed",
                "signer": None if self.signer is None else self.signer.subject,
                "poster_file": poster,
                "tracks": described if listed is None else listed["tracks"],
                "files": [
                    {"file": place, "bytes": local.stat().st_size, "sha256": sha256}
                    for place, (local, sha256) in puts.items()
                ],
                "notes": notes,
            }
        )

    def _key(self, group: Sequence[LocalFilm], tracks: Sequence[PackageTrack]) -> str:
        """Return what is equal for packages with the same tracks of the same films, signed by the same signer."""
        films = [
            [film_content(local.film.row), track.title, track.default, track.text.title if track.subtitles else ""]
            for local, track in zip(group, tracks, strict=True)
        ]
        by = {"signer": self.signer.key} if self.signer is not None else {}
        return make_key("package", package=self.kind, crop=self.crop, films=films, **by)

    def _metadata(self, group: Sequence[LocalFilm], file: str, listed: Entry | None) -> VideoMetadata:
        """Return the metadata of a package: if it or a part of it is there, the one with which that was made."""
        jobs = [local.film.row["job_id"] for local in group]
        if listed is not None:
            named = [(track["run_id"], track["job_id"]) for track in listed["tracks"]]
        elif self.target.exists(file) and (found := metadata_of(self.target, file, jobs)) is not None:
            return found
        else:
            named = [(local.film.run_id, local.film.row["job_id"]) for local in group]
        return VideoMetadata(*(", ".join(dict.fromkeys(map(str, names))) for names in zip(*named, strict=True)))

    def _signed(
        self, group: Sequence[LocalFilm], default: int, files: Mapping[str, Path], key: str, file: str
    ) -> Mapping[str, Path]:
        """Return the files of a package by their path in it, signed if there is a signer."""
        if self.signer is None:
            return files
        made_of = [(local.film.row, local.video) for local in group]
        made_of.insert(0, made_of.pop(default))
        return signed_files(self.signer, files[""], key, made_of, self.target, partial(self._place, file))

    def _place(self, file: str, path: str) -> str:
        """Return the key in the target of a file of the package `file`, by its path in the package."""
        stem = file.removesuffix(package_suffix(self.kind))
        return (f"{stem}/{path}" if self.kind == "hls" else f"{stem}{path}") if path else file

    def _poster(self, file: str) -> str:
        """Return the key in the target of a package's poster, which is that of its default film."""
        return self._place(file, "poster.jpg" if self.kind == "hls" else ".jpg")

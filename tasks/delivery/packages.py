"""Delivery of the films of each picture as one package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from catalogs.export.filenames import NameTemplate, numbered
from catalogs.export.films import films_of
from catalogs.export.manifest import MANIFEST_FILES, read_manifest, record_rows, write_manifest
from catalogs.export.target import other_files, refuse_stores
from catalogs.export.written import Written, each_recorded, in_threads
from catalogs.store.store import Store
from tasks.credentials.signer import Signer
from tasks.delivery.families import check_default, families_of
from tasks.delivery.listing import PACKAGES_FILE, read_packages, write_packages
from tasks.delivery.packing import Packed, Packer
from tasks.delivery.present import other_packages
from tasks.delivery.signed import signature_notes
from tasks.media.packages import PackageKind, package_suffix

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
    package of which a film is missing is not written. One that is there stays as it is, whichever run had its films
    since: it names the first.

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
        Cancelled: the export was stopped.
    """
    template = NameTemplate(name, rows.column_names)
    refuse_stores(store, target)
    films = films_of(rows)
    template.check_tags(films)
    suffix = package_suffix(kind)
    families = families_of(films, template, suffix)
    check_default(families, default_language)
    earlier, listed = read_manifest(target), read_packages(target)
    taken = {**MANIFEST_FILES, PACKAGES_FILE: "", **dict(earlier.keys()), **{e["file"]: e["key"] for e in listed}}
    # Before anything is written, so that the names do not depend on which family is packed first.
    wanted = [(family.name, f"{n} {v}") for n, family in enumerate(families) for v in range(family.variants)]
    numbers = numbered(wanted, taken, suffix)
    names = [[next(numbers) for _ in range(family.variants)] for family in families]
    known = {entry["key"]: entry for entry in listed}
    same_kind = [entry for entry in listed if entry["package"] == kind]
    check = partial(other_packages, target, same_kind)
    if others := [name for found in in_threads(check, zip(families, names, strict=True)) for name in found]:
        raise other_files(target, others)

    written, packed, done = Written(), [Packed() for _ in families], 0
    packer = Packer(
        store, target, kind, default_language, crop, posters, signer if kind != "hls" else None, known, written
    )
    total = sum(len(family.films) for family in families)

    def count(number: int) -> None:
        nonlocal done
        done += number
        on_progress(done, total)

    def pack(place: int) -> int:
        packer.pack(families[place], names[place], packed[place])
        return len(families[place].films)

    def record() -> str:
        record_rows(store, target, earlier, {**written.begun, **written.whole})
        if not written.whole and done < total:
            return ""
        write_packages(target, [*listed, *(entry for one in packed for entry in one.entries)])
        return write_manifest(target, earlier, written.whole, rows.schema, excel=excel)

    count(0)
    manifest = each_recorded(pack, range(len(families)), count, record)
    created = sum(one.created for one in packed)
    return PackagesReport(
        created,
        sum(len(one.entries) for one in packed) - created,
        len(written.whole),
        len(written.whole.keys() - earlier.keys()),
        (*(note for one in packed for note in one.notes), *signature_notes(kind, films, signer)),
        tuple(line for one in packed for line in one.missing),
        manifest,
    )

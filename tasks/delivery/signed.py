"""Content Credentials of packages that are one file, in or beside which a manifest can be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from catalogs.store import uris
from catalogs.store.store import Store
from tasks.credentials.file_types import sidecar_path
from tasks.credentials.manifest import Generation, Ingredient, sign_file
from tasks.credentials.reader import read_credentials
from tasks.credentials.signer import Signer
from tasks.media.packages import PackageKind
from troupe.files import file_sha256

__all__ = ["signature_notes", "signed_files"]

_SIDECAR = ".c2pa"
"""Path in a package of the manifest beside a file that cannot contain it."""


def signed_files(
    signer: Signer,
    path: Path,
    key: str,
    films: Sequence[tuple[Mapping[str, Any], Path]],
    target: Store,
    place: Callable[[str], str],
) -> Mapping[str, Path]:
    """Return the files of a signed package by their path in it, the playable one last.

    A package that an earlier export signed is fetched, because signing it again gives other bytes.

    Args:
        path: the unsigned package.
        key: its key.
        films: row and file of each film, that which players choose first. Their manifests are kept as the history of
            the package's.
        target: where packages are exported to.
        place: returns the key in the target for a path in the package.

    Raises:
        SigningError: it cannot be signed.
        StoreError: the target cannot be read.
    """
    sidecar = sidecar_path(path)
    paths = ("",) if sidecar is None else (_SIDECAR, "")
    if (earlier := _earlier(target, {one: place(one) for one in paths}, key, path.parent / "earlier")) is not None:
        return earlier
    row = films[0][0]
    generation = Generation(
        run_id=row["run_id"],
        job_id=row["job_id"],
        picture_key=row["picture_key"] or "",
        weights=row["weights"] or "",
        consent=row["consent"] or "",
        ingredients=[
            Ingredient(f"film-{number}", file, f"{row['job_id']}{file.suffix}", file_sha256(file))
            for number, (row, file) in enumerate(films, 1)
        ],
        package=key,
        films=[{"role": f"film-{number}", **_named(row)} for number, (row, _) in enumerate(films, 1)],
    )
    signed = sidecar or path.with_stem("signed")
    sign_file(signer, path, signed, generation, composite=row["output"] != "crop")
    return {"": signed} if sidecar is None else {_SIDECAR: signed, "": path}


def signature_notes(kind: PackageKind, films: Sequence[dict[str, Any]], signer: Signer | None) -> list[str]:
    """Return a note if packages are not signed although somebody asked for it, or their films are."""
    signed = sum(film.get("signature") == "signed" for film in films)
    if kind == "hls" and (signed or signer is not None):
        return ["nothing was signed: HLS cannot contain Content Credentials; choose mp4 or mkv"]
    if signed and signer is None:
        state = f"{signed} of {len(films)} films {'is' if signed == 1 else 'are'} signed"
        return [f"{state}, and the packages are not: name a signer with --credentials"]
    return []


def _named(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what the manifest says of a film; files by name, because it is published."""
    values = {name: row[name] for name in ("language", "run_id", "job_id", "consent", "portrait_sha256")}
    files = {name: uris.name(row[name]) for name in ("portrait", "driving") if row[name]}
    return {name: str(value) for name, value in {**values, **files}.items() if value}


def _earlier(target: Store, places: Mapping[str, str], key: str, folder: Path) -> dict[str, Path] | None:
    """Fetch the signed package with this key; None if there is none, or what is there is another file, or damaged."""
    if not all(map(target.exists, places.values())):
        return None
    folder.mkdir()
    files = {path: folder / f"package{path or Path(places['']).suffix}" for path in places}
    for path, file in files.items():
        target.get(places[path], file)
    found = read_credentials(files[""])
    return files if found.state in ("trusted", "untrusted") and found.claims.package == key else None

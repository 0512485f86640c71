"""Verification of a file found anywhere: who signed it, what it claims, and what a store knows of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from catalogs.retention.origin import FilmOrigin, Match, NamedFilm, Origin, PermissionState, find_origin
from catalogs.store.store import Store
from tasks.credentials.file_types import is_segment
from tasks.credentials.reader import (
    Claims,
    Credentials,
    FilmClaims,
    SignatureState,
    read_credentials,
    read_unsigned_claims,
)
from tasks.media.watermark import PUBLIC_KEY, WatermarkKey, read_watermark
from troupe.errors import FfmpegError, InputError
from troupe.files import file_sha256

__all__ = ["STATES", "State", "Verification", "VerifiedFilm", "verify_file"]

State: TypeAlias = Literal["verified", "untrusted", "unsigned", "unknown", "withdrawn", "invalid", "unreadable"]
STATES: tuple[State, ...] = get_args(State)
"""What is known of a file, the worst last.

`verified`: signed by who is trusted, or known to the store by its content. `untrusted`: the signature is valid, and
anyone may have made it. `unsigned`: the file only says that it was generated, or has a watermark. `unknown`: it says
nothing. `withdrawn`: the person shown withdrew the permission. `invalid`: the file is not what was signed.
`unreadable`: there is no such file, or it cannot be read.
"""


@dataclass(frozen=True)
class VerifiedFilm:
    """One of several films that a file contains, or may be.

    Attributes:
        language: language of its sound, BCP 47; empty if unknown.
        run_id, job_id, consent: its run, job and reference to the permission.
        status: of the job in the store; empty if the store does not have it.
        permission: to show the person, as of now; None without a store.
    """

    language: str
    run_id: str
    job_id: str
    consent: str
    status: str = ""
    permission: PermissionState | None = None


@dataclass(frozen=True)
class Verification:
    """What is known of a file.

    Attributes:
        file: path of the file.
        state: one of STATES.
        reason: why it is not verified, for people.
        sha256: of its content.
        signature: state of the signature.
        signer: name in the signing certificate.
        signed_at: time of the time stamp, if there is one.
        claimed_by: where the next values are from: `signature`, `metadata` (which anyone can write), `store` or empty.
        generated: IPTC's digital source type, such as `trainedAlgorithmicMedia`; empty if nothing is known.
        generator: program that made the file.
        run_id, job_id: run and job; of a package, those of the film that players choose.
        portrait, driving: names of the files that it was made from.
        portrait_sha256: content of the portrait.
        consent: reference to the permission.
        weights: fingerprint of the model.
        watermark: start of the key of the picture that the watermark names.
        history: files that it was made from whose own Content Credentials are in it.
        match: how the store knows the file; None without a store.
        status: of the job in the store.
        permission: to show the person, as of now; the worst one of `films`; None without a store.
        films: the films in a package; of a file that only its watermark names, all films of that picture, if there are
            several.
    """

    file: str
    state: State
    reason: str = ""
    sha256: str = ""
    signature: SignatureState = "none"
    signer: str = ""
    signed_at: str = ""
    claimed_by: Literal["", "signature", "metadata", "store"] = ""
    generated: str = ""
    generator: str = ""
    run_id: str = ""
    job_id: str = ""
    portrait: str = ""
    portrait_sha256: str = ""
    driving: str = ""
    consent: str = ""
    weights: str = ""
    watermark: str = ""
    history: tuple[str, ...] = field(default_factory=tuple)
    match: Match | None = None
    status: str = ""
    permission: PermissionState | None = None
    films: tuple[VerifiedFilm, ...] = ()


def verify_file(
    path: Path, store: Store | None = None, trust: str = "", key: WatermarkKey = PUBLIC_KEY
) -> Verification:
    """Verify a file. Whatever is wrong with it is in the result.

    Args:
        store: store to look the file up in.
        trust: PEM of the certificates that are trusted.
        key: key of the watermark, which is looked for in files without a signature.

    Raises:
        StoreError: the store cannot be read.
    """
    if not path.is_file():
        return Verification(str(path), "unreadable", "it is a folder" if path.is_dir() else "there is no such file")
    try:
        sha256 = file_sha256(path)
        credentials = read_credentials(path, trust)
        unsigned = read_unsigned_claims(path) if credentials.state == "none" else None
    except OSError as error:
        return Verification(str(path), "unreadable", error.strerror or str(error))
    claims = credentials.claims if unsigned is None else unsigned
    mark = _picture_of_mark(path, key) if credentials.state == "none" else ""
    origin = None if store is None else find_origin(store, sha256, _named(claims), mark)
    films = _films(claims, origin)
    state, reason = _state(credentials, claims, origin, films, mark)
    if state == "unknown" and not path.stat().st_size:
        reason = "it is empty"
    elif state == "unknown" and is_segment(path):
        reason = (
            "it is a segment of a stream, which is not signed; its watermark can be read together with its "
            "initialisation segment: cat init.mp4 00000.m4s > part.mp4"
        )
    return Verification(
        file=str(path),
        state=state,
        reason=reason,
        sha256=sha256,
        signature=credentials.state,
        signer=credentials.signer,
        signed_at=credentials.signed_at,
        watermark=mark,
        history=credentials.history,
        match=None if origin is None else origin.match,
        status="" if origin is None else str(origin.row.get("status") or ""),
        permission=None if origin is None else origin.permission,
        films=films,
        **_described(credentials, claims, origin),
    )


def _picture_of_mark(path: Path, key: WatermarkKey) -> str:
    """Return the start of the key of the picture that a watermark names; empty if none can be read."""
    with suppress(InputError, FfmpegError):
        if (found := read_watermark(path, key)) is not None:
            return found.payload
    return ""


def _named(claims: Claims) -> Sequence[NamedFilm]:
    """Return the films that a file names."""
    if claims.films:
        return claims.films
    portrait = claims.inputs.get("portrait", {})
    return [NamedFilm(claims.run_id, claims.job_id, portrait.get("sha256", ""), claims.consent)]


def _films(claims: Claims, origin: Origin | None) -> tuple[VerifiedFilm, ...]:
    """Return the films in a package, or those of the picture that a watermark names; empty for a single film."""
    if origin is None:
        return tuple(_film(film, None) for film in claims.films)
    # Only what names its films in the order of the store's has a claim for each.
    claimed = claims.films if len(claims.films) == len(origin.films) else (FilmClaims(),) * len(origin.films)
    films = tuple(_film(film, found) for film, found in zip(claimed, origin.films, strict=True))
    return films if claims.films or len(films) > 1 else ()


def _film(claims: FilmClaims, found: FilmOrigin | None) -> VerifiedFilm:
    """Return a film as the store knows it, else as it is claimed."""
    row, permission = ({}, None) if found is None else (found.row, found.permission)
    names = ("language", "run_id", "job_id", "consent")
    known = {name: str(row.get(name) or getattr(claims, name)) for name in names}
    return VerifiedFilm(**known, status=str(row.get("status") or ""), permission=permission)


def _state(
    credentials: Credentials, claims: Claims, origin: Origin | None, films: Sequence[VerifiedFilm], mark: str
) -> tuple[State, str]:
    """Return the state of a file, and why it is not verified."""
    if credentials.state == "invalid":
        return "invalid", credentials.reason or "the file is not what was signed"
    if origin is not None and origin.permission == "withdrawn":
        return "withdrawn", f"the person shown withdrew the permission{_withdrawn_of(films)}"
    if credentials.state == "trusted" or (origin is not None and origin.match == "checksum"):
        return "verified", ""
    if credentials.state == "untrusted":
        return "untrusted", f"{credentials.reason}; name the certificates that you trust with --trust"
    if mark:
        return "unsigned", "it has no signature; its watermark names a picture"
    if claims.source_type:
        return "unsigned", "it has no signature; what it says of itself could have been written by anyone"
    return "unknown", "it has no signature, and says nothing of itself"


def _withdrawn_of(films: Sequence[VerifiedFilm]) -> str:
    """Return which of several films were withdrawn."""
    found = [
        f"{film.job_id} ({film.language})" if film.language else film.job_id
        for film in films
        if film.permission == "withdrawn"
    ]
    return f" of {len(found)} of its {len(films)} films: {', '.join(found)}" if films else ""


def _described(credentials: Credentials, claims: Claims, origin: Origin | None) -> dict[str, Any]:
    """Return what the file is, by whom that is said: its signature, the store, or nobody in particular."""
    portrait, driving = claims.inputs.get("portrait", {}), claims.inputs.get("driving", {})
    first = claims.films[0] if claims.films else FilmClaims()
    described: dict[str, Any] = {
        "claimed_by": ("metadata" if credentials.state == "none" else "signature") if claims.source_type else "",
        "generated": claims.source_type,
        "generator": claims.generator,
        "run_id": claims.run_id,
        "job_id": claims.job_id,
        "portrait": portrait.get("title", first.portrait),
        "portrait_sha256": portrait.get("sha256", first.portrait_sha256),
        "driving": driving.get("title", first.driving),
        "consent": claims.consent,
        "weights": claims.weights,
    }
    if credentials.state == "none" and origin is not None and origin.match in ("checksum", "watermark"):
        # The store's own words count more than what anyone can write into a file.
        names = ("run_id", "job_id", "portrait", "portrait_sha256", "driving", "consent", "weights")
        described |= {name: str(origin.row[name] or "") for name in names} | {"claimed_by": "store"}
    return described

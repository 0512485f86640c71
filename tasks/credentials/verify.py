"""Verification of a file found anywhere: who signed it, what it claims, and what a store knows of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from catalogs.retention.origin import Match, Origin, PermissionState, find_origin
from catalogs.store.store import Store
from tasks.credentials.file_types import is_segment
from tasks.credentials.reader import Claims, Credentials, SignatureState, read_credentials, read_unsigned_claims
from tasks.media.watermark import PUBLIC_KEY, WatermarkKey, read_watermark
from troupe.errors import FfmpegError, InputError
from troupe.files import file_sha256

__all__ = ["STATES", "State", "Verification", "verify_file"]

State: TypeAlias = Literal["verified", "untrusted", "unsigned", "unknown", "withdrawn", "invalid", "unreadable"]
STATES: tuple[State, ...] = get_args(State)
"""What is known of a file, the worst last.

`verified`: signed by who is trusted, or known to the store by its content. `untrusted`: the signature is valid, and
anyone may have made it. `unsigned`: the file only says that it was generated, or has a watermark. `unknown`: it says
nothing. `withdrawn`: the person shown withdrew the permission. `invalid`: the file is not what was signed.
`unreadable`: there is no such file, or it cannot be read.
"""


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
        run_id, job_id: run and job.
        portrait, driving: names of the files that it was made from.
        portrait_sha256: content of the portrait.
        consent: reference to the permission.
        weights: fingerprint of the model.
        watermark: start of the key of the picture that the watermark names.
        history: files that it was made from whose own Content Credentials are in it.
        match: how the store knows the file; None without a store.
        status: of the job in the store.
        permission: to show the person, as of now; None without a store.
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
    portrait = claims.inputs.get("portrait", {})
    origin = None
    if store is not None:
        origin = find_origin(
            store,
            sha256,
            run_id=claims.run_id,
            job_id=claims.job_id,
            picture_key=mark,
            portrait_sha256=portrait.get("sha256", ""),
            consent=claims.consent,
        )
    state, reason = _state(credentials, claims, origin, mark)
    if state == "unknown" and is_segment(path):
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
        **_described(credentials, claims, origin),
    )


def _picture_of_mark(path: Path, key: WatermarkKey) -> str:
    """Return the start of the key of the picture that a watermark names; empty if none can be read."""
    with suppress(InputError, FfmpegError):
        if (found := read_watermark(path, key)) is not None:
            return found.payload
    return ""


def _state(credentials: Credentials, claims: Claims, origin: Origin | None, mark: str) -> tuple[State, str]:
    """Return the state of a file, and why it is not verified."""
    if credentials.state == "invalid":
        return "invalid", credentials.reason or "the file is not what was signed"
    if origin is not None and origin.permission == "withdrawn":
        return "withdrawn", "the person shown withdrew the permission"
    if credentials.state == "trusted" or (origin is not None and origin.match == "checksum"):
        return "verified", ""
    if credentials.state == "untrusted":
        return "untrusted", f"{credentials.reason}; name the certificates that you trust with --trust"
    if mark:
        return "unsigned", "it has no signature; its watermark names a picture"
    if claims.source_type:
        return "unsigned", "it has no signature; what it says of itself could have been written by anyone"
    return "unknown", "it has no signature, and says nothing of itself"


def _described(credentials: Credentials, claims: Claims, origin: Origin | None) -> dict[str, Any]:
    """Return what the file is, by whom that is said: its signature, the store, or nobody in particular."""
    portrait = claims.inputs.get("portrait", {})
    described: dict[str, Any] = {
        "claimed_by": ("metadata" if credentials.state == "none" else "signature") if claims.source_type else "",
        "generated": claims.source_type,
        "generator": claims.generator,
        "run_id": claims.run_id,
        "job_id": claims.job_id,
        "portrait": portrait.get("title", ""),
        "portrait_sha256": portrait.get("sha256", ""),
        "driving": claims.inputs.get("driving", {}).get("title", ""),
        "consent": claims.consent,
        "weights": claims.weights,
    }
    if credentials.state == "none" and origin is not None and origin.match in ("checksum", "watermark"):
        # The store's own words count more than what anyone can write into a file.
        names = ("run_id", "job_id", "portrait", "portrait_sha256", "driving", "consent", "weights")
        described |= {name: str(origin.row[name] or "") for name in names} | {"claimed_by": "store"}
    return described

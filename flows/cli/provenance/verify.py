"""`troupe verify`: what a file is, who signed it, and what a store knows of it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import print_json
from troupe.errors import SettingsError

if TYPE_CHECKING:
    from tasks.credentials.verify import State, Verification

__all__ = ["EXIT_CODES", "verify"]

EXIT_CODES: dict[State, int] = {
    "verified": 0,
    "untrusted": 4,
    "unsigned": 5,
    "unknown": 6,
    "withdrawn": 7,
    "invalid": 8,
    "unreadable": 9,
}
"""Of several files, the highest one counts."""
_LABELS = {
    "reason": "why",
    "signature": "signature",
    "signer": "signer",
    "signed_at": "signed at",
    "claimed_by": "according to",
    "generated": "generated",
    "generator": "by program",
    "run_id": "run",
    "job_id": "job",
    "portrait": "portrait",
    "portrait_sha256": "portrait's SHA-256",
    "driving": "driving clip",
    "consent": "consent",
    "weights": "model",
    "watermark": "watermark of picture",
    "history": "signed inputs",
    "match": "in the store by",
    "status": "job's status",
    "permission": "permission today",
}
_MATCHES = {"checksum": "content", "claims": "run and job"}
"""How a file was found, for people."""


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos, pictures or any other files.")],
    store: Annotated[
        str | None,
        typer.Option(
            help="Store to look the files up in: a folder or bucket URL.", envvar="TROUPE_STORE", show_default="none"
        ),
    ] = None,
    trust: Annotated[
        Path | None,
        typer.Option(
            metavar="PEM",
            help="Certificates of the authorities that you trust.",
            envvar="TROUPE_TRUST",
            show_default="none",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON, one object per file.")] = False,
) -> None:
    """Verify files found anywhere: the signature, what was generated from whom, and the permission as of today.

    Content Credentials (C2PA) in the file, or in a sidecar of the same name that ends in .c2pa, are validated. Without
    a signature, the unsigned note that every video of troupe has is reported as what it is: a claim that anyone can
    write, and that a re-encoding may keep or lose; and the watermark is read, with the key in TROUPE_WATERMARK_KEY.
    With --store, files are looked up by their content and their watermark, and the job's permission in the register and
    the forget list. Nothing is fetched from the network. Of a package, every film is reported with its language and
    job, and one that was withdrawn makes the package withdrawn.

    States and exit codes; all files are reported, and the highest code counts:

    - 0 verified: signed by someone whom --trust names, or the store has this very file
    - 4 untrusted: the signature is valid, but nobody vouches for who signed
    - 5 unsigned: no signature; the file says of itself that it was generated, or has a watermark
    - 6 unknown: no signature, and the file says nothing
    - 7 withdrawn: the permission was revoked, or the person shown is on the forget list
    - 8 invalid: the file, its manifest or its signature was changed or damaged
    - 9 unreadable: there is no such file, or it cannot be read
    - 2: the request is invalid

    Examples:

    - `troupe verify video.mp4`
    - `troupe verify downloads/*.mp4 --trust credentials/root.pem --store s3://bucket/troupe --json`
    """
    from catalogs.store.existing import open_existing
    from tasks.credentials.reader import check_trust
    from tasks.credentials.verify import verify_file
    from tasks.media.watermark import load_key

    key = load_key()
    pem = ""
    if trust is not None:
        try:
            pem = trust.expanduser().read_text()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a PEM file"
            raise SettingsError(f"--trust {trust} cannot be read: {reason}") from error
        check_trust(pem)
    opened = open_existing(store) if store else None
    found = []
    for path in files:
        found.append(verify_file(path, opened, pem, key))
        if not as_json:
            _print(found[-1])
    if as_json:
        print_json([asdict(one) for one in found])
    code = max(EXIT_CODES[one.state] for one in found)
    if code:
        raise typer.Exit(code)


def _print(found: Verification) -> None:
    typer.echo(f"{found.file}: {found.state}")
    for name, value in (asdict(found) | {"match": _MATCHES.get(found.match or "", found.match)}).items():
        if name in _LABELS and value and value != "none":
            typer.echo(f"  {_LABELS[name]}: {', '.join(value) if isinstance(value, tuple) else value}")
    for film in found.films:
        facts = {"consent": film.consent, "job's status": film.status, "permission today": film.permission}
        known = "".join(f", {label} {value}" for label, value in facts.items() if value)
        typer.echo(f"  film {film.language or 'of unknown language'}: job {film.job_id or 'unknown'}{known}")

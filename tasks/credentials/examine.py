"""A look at the configured signer, for `troupe doctor`: what would sign, and for how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tasks.credentials.signer import configured_signer
from troupe.errors import SigningError

__all__ = ["examine_signer"]

_SOON = timedelta(days=14)
"""Time before the end of a certificate from which it is to be renewed."""


def examine_signer(folder: str = "", *, required: bool = False) -> tuple[str, str]:
    """Sign a small picture with the configured signer; return what was found, and advice if something is to be done.

    Args:
        folder: folder of credentials; empty for the files that the environment names.
        required: whether the store requires signatures.

    Raises:
        SigningError: it cannot sign, or there is none and the store requires signatures.
    """
    signer = configured_signer(folder)
    if signer is None:
        if required:
            raise SigningError(
                "the policy of the store requires signatures, and no signer is configured; set "
                "TROUPE_SIGNING_CERTIFICATE and TROUPE_SIGNING_KEY; see docs/provenance.md"
            )
        return "no signer: videos have no signed Content Credentials", ""
    signer.check()
    end = signer.certificate.not_valid_after_utc
    what = f"{signer.subject} signs; the certificate is valid until {end:%Y-%m-%d %H:%M} UTC"
    return what, "get a new certificate" if end - datetime.now(UTC) < _SOON else ""

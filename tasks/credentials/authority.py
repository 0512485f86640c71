"""A local test authority: a root certificate that nobody else trusts, and a signing certificate that it issued."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tasks.credentials.settings import CERTIFICATE_FILE, KEY_FILE, ROOT_FILE
from troupe.errors import SettingsError

__all__ = ["create_authority"]

_ROOT_DAYS, _DAYS = 3650, 365
_CLAIM_SIGNING = x509.ObjectIdentifier("1.3.6.1.4.1.62558.2.1")
"""Purpose of a certificate, c2pa-kp-claimSigning. Validators that do not know it yet want email protection."""


def create_authority(folder: Path, name: str = "troupe test signer", days: float = _DAYS) -> dict[str, Path]:
    """Create a root certificate, and a signing certificate with its key, in a folder. The root's key is not kept.

    Args:
        folder: created if it does not exist.
        name: organisation and common name of the signing certificate.
        days: days from now on that it is valid for.

    Returns:
        The files by name.

    Raises:
        SettingsError: one of the files exists, or cannot be written.
    """
    now = datetime.now(UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    # Validity begins before any signature, also where clocks differ.
    begin = now - timedelta(days=1)
    root = (
        _builder(_name("troupe local test authority"), _name("troupe local test authority"), root_key.public_key())
        .not_valid_before(begin)
        .not_valid_after(now + timedelta(days=max(_ROOT_DAYS, days)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signing=False), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, _CLAIM_SIGNING])
    certificate = (
        _builder(_name(name), root.subject, key.public_key())
        .not_valid_before(min(begin, now + timedelta(days=days - 1)))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signing=True), critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return _write(
        folder,
        {
            KEY_FILE: private,
            CERTIFICATE_FILE: certificate.public_bytes(pem),
            ROOT_FILE: root.public_bytes(pem),
        },
    )


def _name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, text), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        key_cert_sign=not signing,
        crl_sign=not signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, files: dict[str, bytes]) -> dict[str, Path]:
    paths = {name: folder / name for name in files}
    if existing := [str(path) for path in paths.values() if path.exists()]:
        raise SettingsError(f"already there: {', '.join(existing)}; name another folder")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, content in files.items():
            descriptor = os.open(paths[name], os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be written: {error.strerror}") from error
    return paths

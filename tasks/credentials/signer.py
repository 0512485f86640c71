"""The signer: a certificate, and a key file, a command or a Python function that signs for it."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import c2pa
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from PIL import Image

from catalogs.store.uris import redacted_text
from tasks.credentials.settings import SigningSettings, signing_settings
from troupe.errors import SigningError
from troupe.shared_property import shared_property

__all__ = ["Signer", "configured_signer", "reading_context"]

Sign: TypeAlias = Callable[[bytes], bytes]
Prepare: TypeAlias = Callable[[c2pa.Builder], None]

_CURVES: dict[str, tuple[c2pa.C2paSigningAlg, hashes.HashAlgorithm]] = {
    "secp256r1": (c2pa.C2paSigningAlg.ES256, hashes.SHA256()),
    "secp384r1": (c2pa.C2paSigningAlg.ES384, hashes.SHA384()),
    "secp521r1": (c2pa.C2paSigningAlg.ES512, hashes.SHA512()),
}
_SIGNING: dict[str, dict[str, Any]] = {
    # Copies that the library makes of larger files are in the folder for temporary files, not in memory.
    "core": {"backing_store_memory_threshold_in_mb": 8},
    "builder": {"thumbnail": {"enabled": False}},
    # `_call_back` verifies the signature, and the file's hash is the one that was just computed.
    "verify": {"verify_after_sign": False, "ocsp_fetch": False, "remote_manifest_fetch": False},
}
"""The library's settings: nothing is read twice, or from the network."""
_PARTS = {"merkle_tree_chunk_size_in_kb": 4096}
"""For large videos: they are hashed in parts, of which the library holds one in memory, not in parts of 256 MB."""
_LARGE = 64 * 10**6
"""Bytes above which a video is hashed in parts. Smaller ones have the one hash that every reader knows."""
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
_LINE = 160
"""Characters of a command's last line that an error message keeps."""


class Signer:
    """A certificate and what signs for it. Files are read when they are first used.

    Args:
        settings: where the certificate is, and what signs.
    """

    def __init__(self, settings: SigningSettings) -> None:
        self._settings = settings
        self._error: SigningError | None = None

    @shared_property
    def chain(self) -> str:
        """PEM of the certificate and of those that issued it."""
        return _read(self._settings.certificate, "certificate").decode(errors="replace")

    @shared_property
    def certificate(self) -> x509.Certificate:
        """The signing certificate."""
        try:
            return x509.load_pem_x509_certificates(self.chain.encode())[0]
        except ValueError as error:
            raise SigningError(f"{self._settings.certificate} has no certificate in PEM: {error}") from error

    @property
    def subject(self) -> str:
        """Subject of the certificate, RFC 4514."""
        return self.certificate.subject.rfc4514_string()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def key(self) -> str:
        """Hash of what a signature depends on: the certificate, and whether there is a time stamp."""
        url = self._settings.timestamp_url
        return hashlib.sha256(f"{self.fingerprint} {url}".encode()).hexdigest() if url else self.fingerprint

    def check(self) -> None:
        """Sign a small picture and read it again, as any reader would.

        Raises:
            SigningError: the certificate, the key, the command or the function cannot be used.
        """
        picture, signed = io.BytesIO(), io.BytesIO()
        Image.new("RGB", (8, 8)).save(picture, "PNG")
        self.sign(_definition_of_check(), "image/png", picture, signed)
        with reading_context() as context, c2pa.Reader("image/png", signed, context=context) as reader:
            results = (reader.get_validation_results() or {}).get("activeManifest", {})
        problems = [entry for entry in results.get("failure", []) if entry["code"] != "signingCredential.untrusted"]
        if problems:
            text = "; ".join(dict.fromkeys(entry.get("explanation") or entry["code"] for entry in problems))
            raise SigningError(f"{self._settings.certificate} cannot sign Content Credentials: {text}")

    def sign(
        self,
        definition: dict[str, Any],
        mime: str,
        source: BinaryIO,
        target: BinaryIO | None = None,
        prepare: Prepare = lambda _: None,
    ) -> bytes:
        """Sign a file.

        Args:
            definition: manifest, as the library takes it.
            mime: type of the file.
            source: the file, opened for reading.
            target: the signed file, opened for writing and reading; None for a manifest that stays apart.
            prepare: called with the library's builder before it signs.

        Returns:
            The manifest.

        Raises:
            SigningError: nothing was signed.
        """
        self._check_dates()  # whose message says what to do, unlike the library's
        algorithm, _ = self._algorithm
        self._error, url = None, self._settings.timestamp_url or None
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
        try:
            with ExitStack() as stack:
                library = stack.enter_context(c2pa.Settings.from_dict(_settings(size)))
                signer = c2pa.Signer.from_callback(self._call_back, algorithm, self.chain, url)
                context = stack.enter_context(c2pa.Context(library, signer))
                builder = stack.enter_context(c2pa.Builder(definition, context))
                prepare(builder)
                if target is None:
                    builder.set_no_embed()
                    target = stack.enter_context(Path(os.devnull).open("r+b"))  # the library copies the file
                return bytes(builder.sign(mime, source, target))
        except c2pa.C2paError as error:
            if self._error is not None:
                raise self._error from error
            service = f" and time stamps of {url}" if url else ""
            raise SigningError(f"signing with {self._settings.certificate}{service} failed: {error}") from error

    def _call_back(self, data: bytes) -> bytes:
        """Sign for the library, which replaces the errors of functions that it calls: they are kept."""
        try:
            signature = self._sign(data)
            self._check_signature(signature, data)
        except SigningError as error:
            self._error = error
            return b""
        return signature

    @shared_property
    def _sign(self) -> Sign:
        settings = self._settings
        if settings.command:
            return lambda data: _by_command(settings.command, data, settings.timeout)
        if settings.callback:
            function = _imported(settings.callback)
            return lambda data: _by_function(function, settings.callback, data, settings.timeout)
        assert settings.key is not None
        return self._by_key(settings.key)

    def _by_key(self, path: Path) -> Sign:
        content = _read(path, "key")
        try:
            key = serialization.load_pem_private_key(content, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):  # its text may quote the key
            raise SigningError(f"{path} has no unencrypted private key in PEM") from None
        _, digest = self._algorithm
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return lambda data: key.sign(data, ec.ECDSA(digest))
        if isinstance(key, rsa.RSAPrivateKey):
            return lambda data: key.sign(data, _PSS, digest)
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return key.sign
        raise SigningError(f"{path} has a key of a type that C2PA does not support; use P-256, RSA or Ed25519")

    @shared_property
    def _algorithm(self) -> tuple[c2pa.C2paSigningAlg, hashes.HashAlgorithm]:
        key = self.certificate.public_key()
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        if isinstance(key, rsa.RSAPublicKey):
            return c2pa.C2paSigningAlg.PS256, hashes.SHA256()
        if isinstance(key, ed25519.Ed25519PublicKey):
            return c2pa.C2paSigningAlg.ED25519, hashes.SHA512()
        raise SigningError(
            f"the key of {self._settings.certificate} is of a type that C2PA does not support; use P-256, RSA or "
            "Ed25519"
        )

    def _check_dates(self) -> None:
        certificate, now = self.certificate, datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise SigningError(
                f"{self._settings.certificate} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC only; get a new certificate"
            )

    def _check_signature(self, signature: bytes, data: bytes) -> None:
        """Raise SigningError if the certificate's key did not make the signature."""
        key = self.certificate.public_key()
        _, digest = self._algorithm
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(_der(signature, (key.key_size + 7) // 8), data, ec.ECDSA(digest))
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, data, _PSS, digest)
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
        except InvalidSignature:
            settings = self._settings
            what = (settings.command and "the command") or settings.callback or settings.key
            raise SigningError(
                f"{what} did not sign with the key of {settings.certificate}; use a key and a certificate that belong "
                "together"
            ) from None


def configured_signer(folder: str = "") -> Signer | None:
    """Return the signer that a folder, or this process's environment, configures; None if there is none.

    Raises:
        SigningError: the settings are incomplete or contradict each other.
    """
    settings = signing_settings(folder)
    return None if settings is None else Signer(settings)


def reading_context(trust: str = "") -> c2pa.Context:
    """Return a context to read with.

    Args:
        trust: PEM of the certificates that are trusted; empty for none.
    """
    settings: dict[str, Any] = {
        "verify": {"verify_trust": True, "ocsp_fetch": False, "remote_manifest_fetch": False},
        "trust": {"trust_anchors": trust} if trust else {},
    }
    return c2pa.Context(c2pa.Settings.from_dict(settings))


def _settings(size: int) -> dict[str, dict[str, Any]]:
    """Return the library's settings to sign a file of that many bytes, in memory that does not grow with it."""
    return _SIGNING | {"core": _SIGNING["core"] | (_PARTS if size > _LARGE else {})}


def _definition_of_check() -> dict[str, Any]:
    """Return the manifest of the picture that a signer is tried with."""
    action = {
        "action": "c2pa.created",
        "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia",
    }
    return {
        "claim_generator_info": [{"name": "troupe"}],
        "format": "image/png",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
    }


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SigningError(f"the {what} {path} cannot be read: {error.strerror}") from error


def _der(signature: bytes, size: int) -> bytes:
    """Return an ECDSA signature in DER, which may have been two numbers of `size` bytes."""
    if len(signature) != 2 * size:
        return signature
    return utils.encode_dss_signature(int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))


def _imported(name: str) -> Sign:
    module, _, function = name.partition(":")
    try:
        found: Sign = getattr(importlib.import_module(module), function)
    except Exception as error:  # a module runs any code when it is imported
        raise SigningError(f"{name} cannot be imported: {type(error).__name__}") from error
    return found


def _by_function(function: Sign, name: str, data: bytes, timeout: float) -> bytes:
    """Call a function in a thread, so that one that hangs does not hang the worker."""
    result: list[bytes | BaseException] = []

    def call() -> None:
        try:
            result.append(bytes(function(data)))
        except Exception as error:  # it is the user's
            result.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(timeout)
    if not result:
        raise SigningError(f"{name} timed out after {timeout:g} s")
    if isinstance(result[0], BaseException):
        raise SigningError(f"{name} failed: {type(result[0]).__name__}")
    return result[0]


def _by_command(command: str, data: bytes, timeout: float) -> bytes:
    try:
        arguments = shlex.split(command)
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that what it starts ends with it
        )
    except (OSError, ValueError, IndexError) as error:
        reason = error.strerror if isinstance(error, OSError) else "invalid command line"
        raise SigningError(f"the signing command cannot be started: {reason}") from error
    with process:
        try:
            signature, errors = process.communicate(data, timeout)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise SigningError(f"the signing command timed out after {timeout:g} s") from None
    if process.returncode:
        lines = errors.decode(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        text = f": {redacted_text(last)[:_LINE]}" if last else ""
        raise SigningError(f"the signing command exited with {process.returncode}{text}")
    return signature

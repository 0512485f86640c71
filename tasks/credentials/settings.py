"""Settings of the signer: where its certificate is, and what signs. Read by each process from its own environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from troupe.errors import SigningError

__all__ = ["CERTIFICATE_FILE", "KEY_FILE", "ROOT_FILE", "SigningSettings", "signing_settings"]

CERTIFICATE_FILE, KEY_FILE, ROOT_FILE = "certificate.pem", "key.pem", "root.pem"
"""Files of a folder of credentials."""

_CERTIFICATE, _KEY = "TROUPE_SIGNING_CERTIFICATE", "TROUPE_SIGNING_KEY"
_COMMAND, _CALLBACK = "TROUPE_SIGNING_COMMAND", "TROUPE_SIGNING_CALLBACK"
_TIMEOUT, _TIMESTAMPS = "TROUPE_SIGNING_TIMEOUT", "TROUPE_TIMESTAMP_URL"
_DEFAULT_TIMEOUT = 30.0


@dataclass(frozen=True)
class SigningSettings:
    """Where the certificate is, and what signs: a key file, a command or a Python function. No secret is in here.

    Attributes:
        certificate: PEM file with the signing certificate first, then those that issued it, without the root.
        key: PEM file with the private key, not encrypted.
        command: command line, run without a shell: the bytes to sign on standard input, the signature on standard
            output.
        callback: `module:function`, which takes the bytes to sign and returns the signature.
        timeout: seconds that the command or the function may take.
        timestamp_url: RFC 3161 time stamp service; empty for none.
    """

    certificate: Path
    key: Path | None = None
    command: str = ""
    callback: str = ""
    timeout: float = _DEFAULT_TIMEOUT
    timestamp_url: str = ""


def signing_settings(folder: str = "", environment: Mapping[str, str] | None = None) -> SigningSettings | None:
    """Return the settings of the signer; None if none is configured.

    Args:
        folder: folder with `certificate.pem` and `key.pem`; empty for the files that the environment names.
        environment: environment variables, those of this process by default.

    Raises:
        SigningError: the settings are incomplete or contradict each other; all problems are reported together.
    """
    variables = os.environ if environment is None else environment
    value = {name: variables.get(name, "").strip() for name in (_CERTIFICATE, _KEY, _COMMAND, _CALLBACK)}
    problems: list[str] = []
    if folder:
        home = Path(folder).expanduser()
        certificate: Path | None = home / CERTIFICATE_FILE
        key: Path | None = None if value[_COMMAND] or value[_CALLBACK] else home / KEY_FILE
    elif any(value.values()):
        certificate = Path(value[_CERTIFICATE]).expanduser() if value[_CERTIFICATE] else None
        key = Path(value[_KEY]).expanduser() if value[_KEY] else None
    else:
        return None
    ways = [name for name in (_KEY, _COMMAND, _CALLBACK) if value[name] and not (folder and name == _KEY)]
    if len(ways) > 1:
        problems.append(f"{' and '.join(ways)} are set; set one of them")
    if certificate is None:
        problems.append(f"{_CERTIFICATE} is not set; name the PEM file of the signing certificate")
    if not ways and not folder:
        problems.append(f"nothing signs: set {_KEY}, {_COMMAND} or {_CALLBACK}")
    timeout = _DEFAULT_TIMEOUT
    if text := variables.get(_TIMEOUT, "").strip():
        try:
            timeout = float(text)
        except ValueError:
            timeout = 0.0
        if not 0 < timeout < float("inf"):
            problems.append(f"{_TIMEOUT} is {text!r}; use a number of seconds")
    url = variables.get(_TIMESTAMPS, "").strip()
    if url and not url.startswith(("http://", "https://")):
        problems.append(f"{_TIMESTAMPS} is {url!r}; use an http:// or https:// URL")
    if problems:
        raise SigningError("the signer is not configured completely:", problems)
    assert certificate is not None
    return SigningSettings(certificate, key, value[_COMMAND], value[_CALLBACK], timeout, url)

"""The parts of a URI, without access to what it points at.

A local file is named by its plain path (`file://` is removed), anything else by `scheme://...`, as in fsspec.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, unquote_to_bytes, urlsplit

__all__ = [
    "HTTP",
    "absolute",
    "credentials_advice",
    "file_names",
    "from_here",
    "from_path",
    "has_credentials",
    "local_path",
    "name",
    "parent",
    "redacted",
    "redacted_text",
    "redacted_value",
    "scheme",
]

HTTP = ("http", "https")
"""Schemes of web servers."""

# Not `fsspec.core.split_protocol`: it finds a scheme in local paths such as `data:1.png` and `takes/one://two`.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_LOCAL = ("", "file", "local")
_AZURE = ("abfs", "abfss", "az")

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_URI = re.compile(_SCHEME.pattern + r"""[^\s'"<>`]+""")
_PARAMETER = re.compile(r"(?P<start>[?&;#])(?P<name>[^=?&;#]*)=(?P<value>[^?&;#]*)")
_SECRET_NAME = re.compile(
    r"sig$|signature|token|secret|passw|pwd|credential|auth(?!or$)|jwt|session|policy|api-?_?key|access-?_?key|key-pair|^key$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"[A-Za-z0-9+/=_~-]{32,}")
"""Matches what is too long for a name or a number, and so may be a secret under a name that is not known."""


def scheme(uri: str) -> str:
    """Return the scheme in lower case, `s3` of `s3://bucket/key`; empty for a local path."""
    found = _SCHEME.match(uri)
    kind = found.group(1).lower() if found else ""
    return "" if kind in _LOCAL else kind


def local_path(uri: str) -> Path | None:
    """Return the path of a local file, None for anything else."""
    if scheme(uri):
        return None
    found = _SCHEME.match(uri)
    if found is None:
        return Path(uri)
    path = uri[found.end() :]
    if found.group(1).lower() != "file":
        return Path(path)
    # Percent-encoded, as `Path.as_uri` writes it, and perhaps with this host's name; `%` that begins no code stays.
    return Path(os.fsdecode(unquote_to_bytes(path.removeprefix("localhost"))))


def from_path(path: Path) -> str:
    """Return the URI of an absolute local path: the path itself, or a `file://` URI if its name is not UTF-8."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return path.as_uri()
    return text


def has_credentials(uri: str) -> bool:
    """Return whether the URI carries a user or password (`s3://key:secret@bucket/...`)."""
    kind = scheme(uri)
    user = _authority(uri).rpartition("@")[0] if kind else ""
    # Azure's URIs have a container where others have a user.
    return ":" in user if kind in _AZURE else bool(user)


def credentials_advice(uri: str) -> str:
    """Return what to do about a URI that `has_credentials`."""
    if scheme(uri) in HTTP:
        return "use a URL without user and password, such as a presigned one"
    return "set them as environment variables of its storage service instead"


def redacted(uri: str) -> str:
    """Return the URI without credentials, as it may be stored, shown, logged or handed over.

    User and password are replaced by `***`, and so are the values of a query that grant access, such as a presigned
    URL's signature. Characters that control a terminal are escaped.
    """
    uri = _escaped(uri)
    if not scheme(uri):
        return uri
    if "@" in (authority := _authority(uri)) and has_credentials(uri):
        uri = uri.replace(authority, "***@" + authority.rpartition("@")[2], 1)
    return _PARAMETER.sub(_masked, uri)


def redacted_text(text: str) -> str:
    """Return a text, such as the message of a client library, with `redacted` URIs in it."""
    text = _escaped(text)
    return _URI.sub(lambda found: redacted(found[0]), text) if "://" in text else text


def _escaped(text: str) -> str:
    """Return a text with escapes for what controls a terminal or the order of letters, but for line ends and tabs."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def redacted_value(value: Any) -> Any:
    """Return a value, such as a cell or a run's parameters, with `redacted` URIs in all texts in it.

    A text that begins as a URI is one, whatever follows: names of files contain spaces and quotes.
    """
    if isinstance(value, str):
        return redacted(value) if scheme(value) else redacted_text(value)
    if isinstance(value, Mapping):
        return {key: redacted_value(inner) for key, inner in value.items()}
    return type(value)(map(redacted_value, value)) if isinstance(value, list | tuple) else value


def _masked(parameter: re.Match[str]) -> str:
    name, value = unquote(parameter["name"]), unquote(parameter["value"])
    secret = _SECRET_NAME.search(name) or _SECRET_VALUE.fullmatch(value)
    return f"{parameter['start']}{parameter['name']}=***" if secret else parameter[0]


@lru_cache(maxsize=1024)  # jobs share inputs
def name(uri: str) -> str:
    """Return the last part of the path, without an HTTP query: `a.png`."""
    path = local_path(uri)
    return (_without_query(uri) if path is None else str(path)).rstrip("/").rpartition("/")[2]


def file_names(uri: str) -> list[str]:
    """Return names that may contain the file's format: the last part of the path, then the values of an HTTP query."""
    values = parse_qsl(urlsplit(uri).query) if scheme(uri) in HTTP else []
    return [name(uri), *(value if "." in value else f"{name(uri)}.{value}" for _, value in values)]


def parent(uri: str) -> str:
    """Return the URI of the folder that contains it."""
    path = local_path(uri)
    return str(path.absolute().parent) if path is not None else _without_query(uri).rstrip("/").rpartition("/")[0]


def absolute(uri: str, base: str) -> str:
    """Return the URI, resolved against the folder `base` if it is relative.

    Raises:
        ValueError: it leads out of the bucket of `base`.
    """
    path = local_path(uri)
    if path is None:
        return uri
    folder = local_path(base)
    if path.is_absolute():
        return from_path(path)
    if folder is not None:
        # `..` stays: with symbolic links, removing it could name another file.
        return from_path(folder.absolute() / path)
    kind, rest = base.split("://", 1)
    bucket, _, prefix = rest.partition("/")
    key = posixpath.normpath(posixpath.join(prefix, path.as_posix()))
    if key == ".." or key.startswith("../"):
        raise ValueError(f"{uri} leads out of {kind}://{bucket}")
    return f"{kind}://{bucket}/{key}"


def from_here(uri: str) -> str:
    """Return a URI that means the same in every working folder."""
    path = local_path(uri)
    return uri if path is None else str(path.expanduser().absolute())


def _without_query(uri: str) -> str:
    return re.split(r"[?#]", uri, maxsplit=1)[0] if scheme(uri) in HTTP else uri


def _authority(uri: str) -> str:
    """Return what is between `://` and the path: bucket or host, perhaps with credentials."""
    return re.split(r"[/?#]", uri.split("://", 1)[1], maxsplit=1)[0]

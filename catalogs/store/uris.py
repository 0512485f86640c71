"""What a URI says, without touching what it points at.

A local file is named by its plain path (`file://` is taken off), anything else by `scheme://...`, as fsspec has it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

__all__ = ["absolute", "credentials", "local_path", "name", "parent", "scheme", "shown"]

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_LOCAL = ("", "file", "local")


def scheme(uri: str) -> str:
    """`s3` of `s3://bucket/key`; empty for a local path."""
    found = _SCHEME.match(uri)
    kind = found.group(1).lower() if found else ""
    return "" if kind in _LOCAL else kind


def local_path(uri: str) -> Path | None:
    """The path of a local file, None for anything else."""
    if scheme(uri):
        return None
    found = _SCHEME.match(uri)
    return Path(uri[found.end() :] if found else uri)


def credentials(uri: str) -> bool:
    """Whether the URI carries a user or password (`s3://key:secret@bucket/...`), which would end in the catalog."""
    return bool(scheme(uri)) and "@" in _authority(uri)


def shown(uri: str) -> str:
    """The URI as a message may show it: without credentials."""
    if not credentials(uri):
        return uri
    return uri.replace(_authority(uri), "***@" + _authority(uri).rpartition("@")[2], 1)


def name(uri: str) -> str:
    """The last part of the path, without an HTTP query: `a.png`."""
    return _bare(uri).rstrip("/").rpartition("/")[2]


def parent(uri: str) -> str:
    """The folder that holds it."""
    path = local_path(uri)
    return str(path.absolute().parent) if path is not None else _bare(uri).rstrip("/").rpartition("/")[0]


def absolute(uri: str, base: str) -> str:
    """The URI itself if it stands alone, else what it means in the folder `base`.

    Raises:
        ValueError: it leads out of the bucket that `base` is in.
    """
    path = local_path(uri)
    if path is None:
        return uri
    folder = local_path(base)
    if path.is_absolute():
        return str(path)
    if folder is not None:
        # `..` stays: with symbolic links, taking it off could name another file.
        return str(folder.absolute() / path)
    kind, rest = base.split("://", 1)
    bucket, _, prefix = rest.partition("/")
    key = posixpath.normpath(posixpath.join(prefix, path.as_posix()))
    if key == ".." or key.startswith("../"):
        raise ValueError(f"{uri} leads out of {kind}://{bucket}")
    return f"{kind}://{bucket}/{key}"


def _bare(uri: str) -> str:
    """Without an HTTP query."""
    return re.split(r"[?#]", uri, maxsplit=1)[0] if scheme(uri) in ("http", "https") else uri


def _authority(uri: str) -> str:
    """What lies between `://` and the path: bucket or host, perhaps with credentials."""
    return re.split(r"[/?#]", uri.split("://", 1)[1], maxsplit=1)[0]

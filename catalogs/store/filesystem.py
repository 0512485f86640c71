"""Open fsspec file systems. Nothing else does; other modules name files by key (in a store) or by URI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import fsspec  # type: ignore[import-untyped]
import fsspec.callbacks  # type: ignore[import-untyped]
from fsspec.config import apply_config  # type: ignore[import-untyped]

from catalogs.store import uris
from catalogs.store.backends import s3
from catalogs.store.error_text import reason
from troupe.errors import SettingsError

__all__ = ["Options", "download", "filesystem_class", "open_filesystem"]

Options: TypeAlias = Mapping[str, Any]
"""Arguments of an fsspec file system."""

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "abfs": "abfs", "abfss": "abfs", "az": "abfs"}
"""The extra of troupe that installs the file system of a scheme."""


def open_filesystem(uri: str, options: Options | None = None) -> tuple[Any, str]:
    """Return the fsspec file system of `uri`, and the path in it.

    Raises:
        SettingsError: the URI carries credentials, or no installed package supports its scheme.
    """
    kind = filesystem_class(uri)
    options = dict(options or {})
    if uris.scheme(uri) in s3.SCHEMES:
        options = s3.fsspec_options(apply_config(kind, options))
    try:
        files = kind(**options)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{uris.redacted(uri)} cannot be opened: {reason(error)}") from error
    if uris.scheme(uri) in s3.SCHEMES:
        files.retries = 1  # botocore's retries and ours are enough; a third layer makes minutes of them
    # Schemes are compared without case, but not by fsspec.
    start, mark, rest = uri.partition("://")
    return files, str(kind._strip_protocol(start.lower() + mark + rest))


def filesystem_class(uri: str) -> Any:
    """Return the fsspec class that supports the scheme of `uri`.

    Raises:
        SettingsError: the URI carries credentials, or no installed package supports its scheme.
    """
    if uris.has_credentials(uri):
        raise SettingsError(f"{uris.redacted(uri)} carries credentials; {uris.credentials_advice(uri)}")
    scheme = uris.scheme(uri) or "file"
    try:
        return fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        extra = f"pip install 'troupe[{_EXTRAS[scheme]}]'" if scheme in _EXTRAS else str(error)
        raise SettingsError(f"{uris.redacted(uri)} needs a package that is not installed: {extra}") from error
    except ValueError:
        where = uris.redacted(uri)
        raise SettingsError(f"{where}: unknown scheme {scheme}://; use a folder, or a scheme of fsspec") from None


class _Watched(fsspec.callbacks.Callback):  # type: ignore[misc]
    """Calls a function with the number of bytes of every chunk that arrives."""

    def __init__(self, arrived: Callable[[int], None]) -> None:
        super().__init__()
        self._arrived = arrived

    def relative_update(self, inc: int = 1) -> None:
        self._arrived(inc)


def download(files: Any, path: str, local: Path, arrived: Callable[[int], None] = lambda _: None) -> None:
    """Copy a file of an fsspec file system to `local`.

    Args:
        arrived: called with the number of bytes of every chunk; stops the copy by raising.
    """
    if files.protocol == "memory":
        # An open file in memory is one object with one position, shared by all its readers.
        local.write_bytes(files.cat_file(path))
    else:
        files.get_file(path, str(local), callback=_Watched(arrived))

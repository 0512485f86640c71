"""Arrow's native file systems for reading the catalog's files.

deltalake's own file system calls into the Python interpreter on every read. That is slower, and a process that exits
while one of Arrow's threads still closes a file may be aborted ("terminate called without an active exception").
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from pyarrow import fs

__all__ = ["arrow_filesystem"]


def arrow_filesystem(uri: str, options: Mapping[str, str]) -> fs.FileSystem | None:
    """Return the file system below `uri`; None where only deltalake's own works.

    Args:
        uri: URI of a Delta table, a local path or `s3://bucket/key`, percent-encoded.
        options: deltalake's storage options, as `Store.delta` returns them.
    """
    parts = urlsplit(uri)
    if uri.startswith("/"):
        return fs.SubTreeFileSystem(uri, fs.LocalFileSystem())
    if parts.scheme != "s3":
        return None
    endpoint = urlsplit(options.get("AWS_ENDPOINT_URL", ""))
    bucket = fs.S3FileSystem(
        access_key=options.get("AWS_ACCESS_KEY_ID"),
        secret_key=options.get("AWS_SECRET_ACCESS_KEY"),
        session_token=options.get("AWS_SESSION_TOKEN"),
        anonymous=options.get("AWS_SKIP_SIGNATURE") == "true",
        region=options.get("AWS_REGION"),
        scheme="http" if endpoint.scheme == "http" else "https",
        endpoint_override=endpoint.netloc + endpoint.path.rstrip("/") or None,
        connect_timeout=10,
        request_timeout=60,
    )
    return fs.SubTreeFileSystem(f"{parts.netloc}{unquote(parts.path)}", bucket)

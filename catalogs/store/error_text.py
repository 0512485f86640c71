"""Texts of errors: what a client library's exception says, and what to do about it."""

from __future__ import annotations

import errno
import re

from catalogs.store import uris

__all__ = ["DISK_FULL", "advice", "reason"]

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of a disk, or a quota, without room."""


def reason(error: BaseException) -> str:
    """Return what an error of a client library says, on one line and without colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    text = text or ("timed out" if isinstance(error, TimeoutError) else type(error).__name__)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = error.strerror
    elif isinstance(error, FileNotFoundError) and "exist" not in text:
        text = "No such file"  # s3fs gives only the path
    text = " ".join(uris.redacted_text(text).replace("↳", "").split()).encode(errors="backslashreplace").decode()
    return text if len(text) <= 300 else text[:300] + "…"


def advice(error: Exception, url: str) -> str:
    """Return what the user can do about an error of the store at `url`."""
    remote = bool(uris.scheme(url))
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"):
        return "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    if isinstance(error, PermissionError):
        return f"check the credentials and their permissions in {url}" if remote else "check its permissions"
    if isinstance(error, FileNotFoundError):
        return "check that the bucket and the file exist" if remote else "check the path"
    if isinstance(error, NotADirectoryError | FileExistsError):
        return "a file is where a folder should be; choose another store"
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return "make room there and run again"
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return "choose a writable store"
    if isinstance(error, NotImplementedError):
        return "choose another kind of store"
    return "check the endpoint and the network, and run again" if remote else "run again"

"""Items of a store's listings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Entry", "Upload"]


@dataclass(frozen=True)
class Entry:
    """A file of a store.

    Attributes:
        key: key of the file.
        bytes: size.
        modified: time of the put, UTC; None where the store does not report it.
    """

    key: str
    bytes: int
    modified: datetime | None


@dataclass(frozen=True)
class Upload:
    """An unfinished multipart upload. Its parts take up space, but no listing of files shows them.

    Attributes:
        key: key of the file once it is complete.
        id: identifier of the upload in the store.
        started: time of the start, UTC.
    """

    key: str
    id: str
    started: datetime

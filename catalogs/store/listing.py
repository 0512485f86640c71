"""What a listing of a store tells of a file, whole or in the making."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Entry", "Upload"]


@dataclass(frozen=True)
class Entry:
    """A file of a store.

    Attributes:
        key: where.
        bytes: its size.
        modified: when it was put, UTC; None where the store does not say.
    """

    key: str
    bytes: int
    modified: datetime | None


@dataclass(frozen=True)
class Upload:
    """A file of which parts were put and the whole never was: it takes room, and no listing of files shows it.

    Attributes:
        key: where it would be.
        id: by which the store knows the upload.
        begun: UTC.
    """

    key: str
    id: str
    begun: datetime

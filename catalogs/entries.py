"""What a listing of a store tells of a file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["Entry"]


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

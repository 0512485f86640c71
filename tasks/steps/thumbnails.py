"""Thumbnails for reports: small pictures of portraits and clips, beside their encodings in the cache."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import PurePosixPath

from PIL import Image

from catalogs.store.store import Store
from models.faces import crop_head, head_box
from troupe import Picture, Track

__all__ = ["FirstFrame", "put_thumbnail"]

SIDE = 256
"""Pixels."""


class FirstFrame:
    """Iterates over frames and keeps the head crop of the first one as `head`, in thumbnail size."""

    def __init__(self, frames: Iterator[Picture], track: Track) -> None:
        self.head: Picture | None = None
        self._frames, self._track = frames, track

    def __iter__(self) -> Iterator[Picture]:
        for frame in self._frames:
            if self.head is None:
                height, width = frame.shape[:2]
                self.head = crop_head(frame, head_box(self._track.boxes[0], width, height), SIDE)
            yield frame


def put_thumbnail(store: Store, store_key: str, head: Picture | None) -> int:
    """Put a head crop as a JPEG beside the file at `store_key`, if there is one; return the number of files put.

    Raises:
        StoreError: it cannot be put.
    """
    if head is None:
        return 0
    image = Image.fromarray(head)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    return int(store.put_bytes(data.getvalue(), str(PurePosixPath(store_key).with_suffix(".jpg"))).created)

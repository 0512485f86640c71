"""Thumbnails for reports: small pictures of portraits and clips, beside their encodings in the cache."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image

from models.faces import crop_head, head_box
from troupe import Picture, Track

__all__ = ["FirstFrame", "encode_thumbnail"]

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


def encode_thumbnail(head: Picture) -> bytes:
    """Return a head crop as a small JPEG."""
    image = Image.fromarray(head)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    return data.getvalue()

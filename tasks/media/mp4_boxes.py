"""Changes of MP4 files that ffmpeg has no option for."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["MP4_SUFFIXES", "hide_subtitles"]

MP4_SUFFIXES = (".mp4", ".mov")
"""Files that consist of such boxes."""
_TEXT_HANDLERS = (b"sbtl", b"subt", b"text")


def hide_subtitles(path: Path) -> None:
    """Mark the text tracks of an MP4 file as shown only if the viewer chooses them; ffmpeg always shows the first."""
    with path.open("r+b") as file:
        for start, end in _boxes(file, 0, path.stat().st_size, b"moov"):
            for track_start, track_end in _boxes(file, start, end, b"trak"):
                media = _boxes(file, track_start, track_end, b"mdia")
                handlers = [h for m in media for h in _boxes(file, *m, b"hdlr")]
                if any(_read(file, handler + 8, 4) in _TEXT_HANDLERS for handler, _ in handlers):
                    for header, _ in _boxes(file, track_start, track_end, b"tkhd"):
                        flags = _read(file, header + 3, 1)[0]
                        file.seek(header + 3)
                        file.write(bytes([flags & ~1]))


def _boxes(file: BinaryIO, start: int, end: int, kind: bytes) -> list[tuple[int, int]]:
    """Return start and end of the content of the boxes of a kind between two places in an MP4 file."""
    found = []
    while start + 8 <= end:
        size, name = struct.unpack(">I4s", _read(file, start, 8))
        header = 8
        if size == 1:
            header, size = 16, struct.unpack(">Q", _read(file, start + 8, 8))[0]
        size = size if size >= header else end - start
        if name == kind:
            found.append((start + header, start + size))
        start += size
    return found


def _read(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)

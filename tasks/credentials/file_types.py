"""Types of files by their first bytes: names may be wrong, and the library finds no manifest under a wrong type."""

from __future__ import annotations

from pathlib import Path

__all__ = ["UNKNOWN", "is_segment", "mime_type", "sidecar_path"]

UNKNOWN = "application/octet-stream"
_MATROSKA = "video/x-matroska"
_STARTS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
    b"II*\x00": "image/tiff",
    b"MM\x00*": "image/tiff",
    b"ID3": "audio/mpeg",
    b"fLaC": "audio/flac",
    b"\x1aE\xdf\xa3": _MATROSKA,
}
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/avi"}
_SEGMENTS = (b"styp", b"sidx", b"emsg", b"prft", b"moof")
"""Types of the box that a segment of fragmented MP4 may start with."""
_BRANDS = {b"qt  ": "video/quicktime", b"avif": "image/avif", b"heic": "image/heic", b"mif1": "image/heif"}


def mime_type(path: Path) -> str:
    """Return the type of a file that may carry a manifest, or of which a sidecar may be; else `UNKNOWN`."""
    if not path.is_file():
        return UNKNOWN
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12], UNKNOWN)
    return next((mime for start, mime in _STARTS.items() if head.startswith(start)), UNKNOWN)


def is_segment(path: Path) -> bool:
    """Return whether a file is a segment of fragmented MP4, which says nothing without its initialisation segment."""
    with path.open("rb") as file:
        return file.read(8)[4:] in _SEGMENTS


def sidecar_path(path: Path) -> Path | None:
    """Return the path of the sidecar of a file that cannot contain a manifest; None for one that can."""
    return path.with_suffix(".c2pa") if mime_type(path) in (_MATROSKA, UNKNOWN) else None

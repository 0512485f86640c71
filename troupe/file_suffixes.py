"""Names of the files that can be read, by suffix: the one list for folders of portraits, clips and sequences."""

from __future__ import annotations

__all__ = ["CLIP_SUFFIXES", "PORTRAIT_SUFFIXES", "SEQUENCE_SUFFIXES", "unreadable"]

SEQUENCE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".jfif", ".jpe")
"""Pictures that may be frames of a sequence."""
PORTRAIT_SUFFIXES = (*SEQUENCE_SUFFIXES, *(".apng", ".avif", ".gif", ".pbm", ".pgm", ".pnm", ".ppm", ".mpo"))
"""Pictures that may be portraits."""
CLIP_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".qt", ".mkv", ".webm", ".avi", ".divx", ".mpg", ".mpeg", ".mpe", ".m2v", ".vob"),
    *(".ts", ".mts", ".m2ts", ".m2t", ".mxf", ".3gp", ".3g2", ".gif", ".apng", ".webp", ".wmv", ".asf", ".flv", ".f4v"),
    *(".ogv", ".ogg", ".nut", ".dv", ".y4m", ".ivf", ".obu", ".h264", ".264", ".hevc", ".h265", ".265", ".mjpeg"),
)
"""Files that may be driving clips."""
_HEIC = "HEIC is not supported; convert it to JPEG, PNG or AVIF"
_REASONS = {".heic": _HEIC, ".heif": _HEIC, ".hif": _HEIC}


def unreadable(name: str, kind: str) -> str:
    """Return why a file in a folder of pictures or clips is left out.

    Args:
        name: name of the file.
        kind: what is wanted, such as `clip`.
    """
    suffix = f".{name.rpartition('.')[2].lower()}" if "." in name else ""
    return _REASONS.get(suffix, f"{suffix} is not the suffix of a {kind}" if suffix else "it has no suffix")

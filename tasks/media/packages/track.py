"""Tracks of a package: a film's sound and subtitles, with what players show for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.media.languages import UNKNOWN

__all__ = ["PackageTrack"]


@dataclass(frozen=True)
class PackageTrack:
    """A film of a package.

    Attributes:
        film: the video file; all films of a package have the same picture.
        language: language of its sound and its subtitles, BCP 47; `und` if unknown.
        name: name for viewers, different for every track of a package.
        default: whether players choose it unless the viewer chooses another one.
        subtitles: WebVTT file; None if there are none.
    """

    film: Path
    language: str
    name: str
    default: bool = False
    subtitles: Path | None = None

    @property
    def title(self) -> str:
        """Name and full language tag, which MP4 and Matroska store nowhere else."""
        return self.name if self.language in (UNKNOWN, self.name) else f"{self.name}, {self.language}"

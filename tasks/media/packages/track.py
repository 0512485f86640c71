"""Tracks of a package: a film's sound and subtitles, with what players show for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tasks.media.languages import UNKNOWN

__all__ = ["PackageTrack"]


@dataclass(frozen=True)
class PackageTrack:
    """A film of a package.

    Attributes:
        film: the video file; all films of a package have the same picture.
        language: language of its sound, BCP 47; `und` if unknown.
        name: name for viewers, different for every track of a package.
        default: whether players choose its sound unless the viewer chooses another one.
        subtitles: WebVTT file; None if there are none.
        subtitles_language, subtitles_name: language and name of the subtitles; those of the sound if empty.
    """

    film: Path
    language: str
    name: str
    default: bool = False
    subtitles: Path | None = None
    subtitles_language: str = ""
    subtitles_name: str = ""

    @property
    def title(self) -> str:
        """Name and full language tag, which MP4 and Matroska store nowhere else."""
        return self.name if self.language in (UNKNOWN, self.name) else f"{self.name}, {self.language}"

    @property
    def text(self) -> PackageTrack:
        """The track as one of subtitles: with their language and name, and not the default."""
        language, name = self.subtitles_language or self.language, self.subtitles_name or self.name
        return replace(self, language=language, name=name, default=False)

"""Write a package of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from tasks.media.packages.hls import MULTIVARIANT, write_hls
from tasks.media.packages.single_file import write_mkv, write_mp4
from tasks.media.packages.track import PackageTrack
from tasks.media.provenance import VideoMetadata
from tasks.media.subtitles import read_subtitles

__all__ = ["PACKAGES", "Package", "PackageKind", "package_suffix", "write_package"]

PackageKind: TypeAlias = Literal["mp4", "mkv", "hls"]
PACKAGES: tuple[PackageKind, ...] = get_args(PackageKind)


@dataclass(frozen=True)
class Package:
    """The files of a package.

    Attributes:
        files: local files by their path in the package, in the order in which they are to be published: whoever sees
            the last one can play all of it. A single file has the path `""`.
        notes: what was converted, for the user.
    """

    files: Mapping[str, Path]
    notes: Sequence[str] = ()


def package_suffix(kind: PackageKind) -> str:
    """Return what the name of the file ends in that is opened to play a package."""
    return f"/{MULTIVARIANT}" if kind == "hls" else f".{kind}"


def write_package(kind: PackageKind, folder: Path, tracks: Sequence[PackageTrack], metadata: VideoMetadata) -> Package:
    """Write the films of one picture as a package. Nothing but sound that HLS cannot hold is encoded again.

    Args:
        kind: kind of package.
        folder: empty folder to write to.
        tracks: films with the same picture, in the order of the package's tracks.
        metadata: metadata of the package.

    Raises:
        InputError: subtitles cannot be read, or have no cues.
        FfmpegError: ffmpeg failed, or what it wrote is not what the films contain.
    """
    texts = [read_subtitles(track.subtitles, track.text.language)[0] if track.subtitles else None for track in tracks]
    if kind == "hls":
        target = folder / "hls"
        target.mkdir()
        notes = write_hls(target, tracks, metadata)
        paths = sorted(path for path in target.rglob("*") if path.is_file() and path.name != MULTIVARIANT)
        # A playlist after its segments, and the multivariant playlist last.
        paths.sort(key=lambda path: path.suffix == ".m3u8")
        return Package({p.relative_to(target).as_posix(): p for p in (*paths, target / MULTIVARIANT)}, notes)
    path = folder / f"package.{kind}"
    (write_mp4 if kind == "mp4" else write_mkv)(path, tracks, texts, metadata)
    return Package({"": path})

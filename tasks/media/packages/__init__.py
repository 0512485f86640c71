"""Packages: the films of one picture as one file with many tracks, or as an HLS presentation."""

from tasks.media.packages.digests import StreamDigest, stream_digests
from tasks.media.packages.package import PACKAGES, Package, PackageKind, package_suffix, write_package
from tasks.media.packages.track import PackageTrack

__all__ = [
    "PACKAGES",
    "Package",
    "PackageKind",
    "PackageTrack",
    "StreamDigest",
    "package_suffix",
    "stream_digests",
    "write_package",
]

"""Videos and pictures that the pages show, by signed paths that are valid for a short time.

A path names a kind, a key and a file name, all taken from a row, and a signature that only this process makes. What it
resolves to is a key of the store, checked again, or a local file below a folder that the operator named. No other path
reaches the store or the file system. Files are read in parts, so that memory does not grow with their size.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from catalogs.store import uris
from catalogs.store.store import Store
from flows.review.calls import BoundedCalls
from flows.review.pages.messages import message_page
from flows.review.security import Secrets

__all__ = ["MediaSigner", "routes"]

Kind: TypeAlias = Literal["renders", "portraits", "clips", "inputs"]
"""Files of a render; thumbnails of portraits and of driving clips; local inputs."""

LIFETIME = 900
"""Seconds for which a path is valid at least, and at most twice; equal paths let browsers reuse what they have."""
PART = 512 * 1024
"""Bytes that are read at a time."""
MAX_OPEN_RANGE = 4 * 1024 * 1024
"""Bytes that answer a range without an end. Browsers ask again for what follows, and hold no connection meanwhile, of
which they have few."""

_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".vtt": "text/vtt; charset=utf-8",
}
"""Media types by suffix; other files are not shown."""
_FOLDERS = {"renders": "renders", "portraits": "cache/appearance", "clips": "cache/motion"}
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass
class MediaSigner:
    """Makes signed paths for files that rows name, and finds what a path stands for.

    Args:
        secrets: signs the paths.
        store: store of the files.
        inputs: folders of local portraits and driving clips that may be shown.
    """

    secrets: Secrets
    store: Store
    inputs: Sequence[Path] = ()
    _local: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs = [folder.resolve() for folder in self.inputs]

    def video(self, row: Mapping[str, Any], *, crop: bool = False) -> str:
        """Return the path of a row's video; empty if it has none."""
        uris_of = (row["crop_uri"], row["full_uri"]) if crop else (row["full_uri"], row["crop_uri"])
        return self._render(row, next(filter(None, uris_of), None))

    def poster(self, row: Mapping[str, Any]) -> str:
        """Return the path of a row's poster; empty if it has none."""
        return self._render(row, row["poster_uri"])

    def subtitles(self, row: Mapping[str, Any]) -> str:
        """Return the path of a row's WebVTT subtitles; empty if it has none."""
        return self._render(row, row["subtitles_vtt_uri"])

    def portrait(self, row: Mapping[str, Any]) -> str:
        """Return the path of the portrait's thumbnail in the store; empty if it has none."""
        return self._path("portraits", row["appearance_key"], "thumbnail.jpg")

    def clip_poster(self, row: Mapping[str, Any]) -> str:
        """Return the path of the driving clip's thumbnail in the store; empty if it has none."""
        return self._path("clips", row["motion_key"], "thumbnail.jpg")

    def input(self, uri: str | None) -> str:
        """Return the path of a local portrait or driving clip below one of the folders; empty for any other."""
        path = uris.local_path(uri) if uri else None
        if path is None or not path.is_absolute() or path.suffix.lower() not in _TYPES:
            return ""
        try:
            path = path.resolve(strict=True)
        except (OSError, ValueError):
            return ""
        if not path.is_file() or not any(path.is_relative_to(folder) for folder in self.inputs):
            return ""
        key = self.secrets.sign("input", str(path))[:32]
        self._local[key] = path
        return self._path("inputs", key, f"input{path.suffix.lower()}")

    def resolve(self, expires: str, signature: str, kind: str, key: str, name: str) -> str | Path | None:
        """Return the key in the store, or the local path; None if the path is not signed or no longer valid."""
        if not self.secrets.is_signed("media", f"{expires}/{kind}/{key}/{name}", signature):
            return None
        if kind not in get_args(Kind) or not _is_safe(key, name) or int(expires) < time.time():
            return None
        if kind == "inputs":
            return self._local.get(key)
        return f"renders/{key}/{name}" if kind == "renders" else f"{_FOLDERS[kind]}/{key}.jpg"

    def _render(self, row: Mapping[str, Any], uri: str | None) -> str:
        return self._path("renders", row["render_key"], uris.name(uri)) if uri else ""

    def _path(self, kind: Kind, key: str | None, name: str) -> str:
        if not key or not _is_safe(key, name):
            return ""
        expires = (int(time.time()) // LIFETIME + 2) * LIFETIME
        signature = self.secrets.sign("media", f"{expires}/{kind}/{key}/{name}")
        return f"/media/{expires}/{signature}/{kind}/{key}/{name}"


def _is_safe(key: str, name: str) -> bool:
    return bool(_NAME.fullmatch(key) and _NAME.fullmatch(name)) and Path(name).suffix.lower() in _TYPES


def routes(signer: MediaSigner, calls: BoundedCalls) -> list[Route]:
    """Return the route of all media."""

    def size_of(found: str | Path) -> int | None:
        if isinstance(found, Path):
            return found.stat().st_size if found.is_file() else None
        return signer.store.size(found)

    def read(found: str | Path, start: int, stop: int) -> bytes:
        if isinstance(found, str):
            return signer.store.read_range(found, start, stop)
        with found.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    async def answer(request: Request, found: str | Path, span: tuple[int, int], headers: dict[str, str]) -> Response:
        start, stop = span
        headers["Content-Length"] = str(stop - start)
        status = 206 if "Content-Range" in headers else 200
        if request.method == "HEAD" or start == stop:
            return Response(status_code=status, headers=headers)
        # Read before the answer begins, so that a store that is gone can still be reported.
        first = await calls.run(read, found, start, min(stop, start + PART))

        async def parts() -> AsyncIterator[bytes]:
            data, place = first, start
            while data:
                yield data
                place += len(data)
                data = await calls.run(read, found, place, min(stop, place + PART)) if place < stop else b""

        return StreamingResponse(parts(), status, headers)

    async def media(request: Request) -> Response:
        found = signer.resolve(**request.path_params)
        size = await calls.run(size_of, found) if found is not None else None
        if found is None or size is None:
            gone = "The path is no longer valid; reload the page." if found is None else "The file is not in the store."
            return message_page(request, 404, "Not found", gone)
        name = request.path_params["name"]
        etag = f'"{request.path_params["key"]}-{name}-{size}"'
        headers = {
            "Accept-Ranges": "bytes",
            "ETag": etag,
            "Cache-Control": f"private, max-age={LIFETIME}",
            "Content-Type": _TYPES[Path(name).suffix.lower()],
        }
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        wanted = request.headers.get("range")
        if wanted is not None and request.headers.get("if-range", etag) == etag:
            span = parse_range(wanted, size)
            if span == "unsatisfiable":
                return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
            if span is not None:
                headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
                return await answer(request, found, span, headers)
        return await answer(request, found, (0, size), headers)

    return [Route("/media/{expires}/{signature}/{kind}/{key}/{name}", media, methods=["GET", "HEAD"])]


def parse_range(header: str, size: int) -> tuple[int, int] | Literal["unsatisfiable"] | None:
    """Return the bytes [start, stop) that a Range header asks for.

    Returns:
        None if the header is to be ignored, as one of several ranges or of another unit (RFC 9110, 14.2).
    """
    found = _RANGE.fullmatch(header.strip())
    if found is None or found[1] == found[2] == "":
        return None
    if len(found[1]) > 18 or len(found[2]) > 18:
        return "unsatisfiable" if len(found[1]) > 18 else (int(found[1]), size) if found[1] else (0, size)
    if found[1] == "":
        start, stop = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        stop = min(size, start + MAX_OPEN_RANGE if found[2] == "" else int(found[2]) + 1)
        if found[2] and int(found[2]) < start:
            return None
    return (start, stop) if start < stop else "unsatisfiable"

"""How long driving clips are, looked up once and remembered by their content."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import av

from catalogs.requests.inputs import at_hand
from catalogs.store.keys import run_key
from catalogs.store.store import Store
from tasks.media.input_formats import CLIP_FORMATS, open_container
from tasks.media.scan import video_stream
from troupe.errors import StoreError, TroupeError

__all__ = ["ClipLengths", "Length", "frames_between"]

Length = tuple[int, float]
"""Frames of a whole clip, and frames a second."""

_FOLDER = "cache/lengths"
_THREADS = 8
_LOG = logging.getLogger(__name__)


class ClipLengths:
    """The lengths of clips by the hash of their content. Only an estimate hangs on them, so nothing here fails.

    Args:
        store: where they are remembered.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Length] = {}
        self._fresh: dict[str, Length] = {}
        self._lock = threading.Lock()
        try:
            for key in store.list(_FOLDER):
                read = json.loads(store.read(key))
                self._known |= {content: (int(frames), float(rate)) for content, (frames, rate) in read.items()}
        except (StoreError, ValueError, TypeError) as error:
            _LOG.warning("the lengths of clips seen before cannot be read: %s", error)

    def look(self, content: str, path: Path) -> None:
        """Learn the length of a clip that is at hand."""
        if content not in self._known and (length := _read(path)) is not None:
            with self._lock:
                self._fresh[content] = self._known[content] = length

    def of_many(self, clips: Mapping[str, str]) -> dict[str, Length]:
        """By content hash, of clips given as content hash -> URI; those that cannot be told are left out."""
        unknown = [(content, uri) for content, uri in clips.items() if content not in self._known]
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="length") as pool:
            list(pool.map(lambda clip: self._fetch(*clip), unknown))
        return {content: self._known[content] for content in clips if content in self._known}

    def _fetch(self, content: str, uri: str) -> None:
        with suppress(TroupeError), at_hand(uri) as path:
            self.look(content, path)

    def save(self, run_id: str) -> None:
        """Write what this run has learnt to the store."""
        run_key(run_id, "")
        with self._lock:
            found, self._fresh = self._fresh, {}
        if found:
            names = (f"{_FOLDER}/{run_id}{f'-{n}' if n > 1 else ''}.json" for n in range(1, 10_000))
            next(name for name in names if self._store.put_bytes(json.dumps(found).encode(), name).created)


def frames_between(length: Length, start: float, end: float | None) -> int:
    """How many frames of a clip lie in a part of it, given in seconds; at least one."""
    frames, rate = length
    last = frames if end is None else min(frames, math.ceil(end * rate))
    return max(1, last - math.ceil(start * rate))


def _read(path: Path) -> Length | None:
    """From the file's headers alone: decoding would tell exactly, and take as long as the work."""
    try:
        with open_container(path, CLIP_FORMATS) as container:
            stream = video_stream(container)
            if stream is None or not stream.average_rate:
                return None
            rate = float(stream.average_rate)
            seconds = (container.duration or 0) / av.time_base
            frames = stream.frames or round(seconds * rate)
    except (TroupeError, av.error.FFmpegError, OSError):
        return None  # The work itself will say what is wrong with it.
    return (frames, rate) if frames > 0 else None

"""Lengths of driving clips, read from their headers once and remembered by content hash."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.access.persistent_dict import PersistentDict
from catalogs.store.store import Store
from tasks import media
from tasks.media.sandbox import Sandbox
from troupe.errors import InputError, TroupeError
from troupe.process.signals import map_stoppable

__all__ = ["ClipLengths", "Length", "frames_between"]

Length = tuple[int, float]
"""Number of frames of a whole clip, and frames per second."""

_FOLDER = "cache/lengths"


class ClipLengths:
    """Lengths of clips by the hash of their content.

    They only serve an estimate, so an unknown one is not an error, nor is a store that does not remember it. That is
    what sets them apart from `InputTraits`, which keys depend on. Why a clip cannot be opened is known as well, but for
    this run only: the next one looks again.

    Args:
        store: the store that remembers the lengths.
        sandbox: where headers are read.
        raise_if_cancelled: called often; stops the work by raising.
        policy: which inputs may be read.
    """

    def __init__(
        self,
        store: Store,
        sandbox: Sandbox,
        raise_if_cancelled: Callable[[], None] = lambda: None,
        policy: InputPolicy = PUBLIC,
    ) -> None:
        self._policy = policy
        self._sandbox, self._raise_if_cancelled = sandbox, raise_if_cancelled
        self._unreadable: dict[str, InputError] = {}
        self._memo = PersistentDict(store, _FOLDER, ".json", _encode, _decode, required=False)

    def measure(self, content: str, path: Path) -> Callable[[], None]:
        """Read the length of a local clip, unless it is known; return a function that remembers it.

        Args:
            content: hash of the clip's content.
            path: path of the clip.
        """
        try:
            found = self._sandbox(media.read_length, path) if self._memo.get(content) is None else None
        except InputError as error:
            return partial(self._unreadable.__setitem__, content, error)
        if found is None:
            return lambda: None
        frames, rate = found
        return partial(self._memo.add, content, (frames, rate))

    def unreadable(self, content: str) -> InputError | None:
        """Return why a clip with this content cannot be opened, as far as it was looked at."""
        return self._unreadable.get(content)

    def of_many(self, clips: Mapping[str, str], hashes: ContentHashes) -> dict[str, Length]:
        """Return the lengths by content hash; clips that cannot be read are left out.

        Args:
            clips: URIs by content hash.
            hashes: what returned these hashes.
        """
        unknown = [
            (content, uri)
            for content, uri in clips.items()
            if self._memo.get(content) is None and content not in self._unreadable
        ]
        map_stoppable(lambda clip: self._fetch(hashes, *clip), unknown, self._raise_if_cancelled)
        lengths = ((content, self._memo.get(content)) for content in clips)
        return {content: length for content, length in lengths if length is not None}

    def last_times(self, clips: Mapping[str, str], hashes: ContentHashes) -> dict[str, float]:
        """Return the times of the clips' last frames by content hash, read from all their packets, where certain.

        Args:
            clips: URIs by content hash.
            hashes: what returned these hashes.
        """

        def read(clip: tuple[str, str]) -> float | None:
            content, uri = clip
            with suppress(TroupeError), hashes.reading(uri, content, self._policy) as path:
                return self._sandbox(media.read_last_time, path)
            return None

        found = map_stoppable(read, list(clips.items()), self._raise_if_cancelled)
        return {content: time for content, time in zip(clips, found, strict=True) if time is not None}

    def save(self, run_id: str) -> None:
        """Write the lengths that this run read to the store; do nothing if there are none.

        Raises:
            StoreError: they cannot be written.
        """
        self._memo.save(run_id)

    def _fetch(self, hashes: ContentHashes, content: str, uri: str) -> None:
        with suppress(TroupeError):  # the job reports what is wrong with it; `map_stoppable` notices a stop
            with hashes.reading(uri, content, self._policy) as path:
                remember = self.measure(content, path)
            remember()


def frames_between(length: Length, start: float, end: float | None) -> int:
    """Return the number of frames of a clip between two times in seconds; at least one."""
    frames, rate = length
    last = frames if end is None else min(frames, math.ceil(end * rate))
    return max(1, last - math.ceil(start * rate))


def _encode(lengths: Mapping[str, Length]) -> bytes:
    return json.dumps(dict(lengths)).encode()


def _decode(data: bytes) -> dict[str, Length]:
    return {content: (int(frames), float(rate)) for content, (frames, rate) in json.loads(data).items()}

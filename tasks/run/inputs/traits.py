"""What in an input changes how it is decoded: read once, remembered by content hash, part of the keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.requests.access.persistent_dict import PersistentDict
from catalogs.store.store import Store
from tasks import media
from tasks.media.sandbox import Sandbox
from tasks.media.sound import processor_seconds, sound_traits
from troupe.errors import InputError, StoreError, TooLarge, UnreadableMedia
from troupe.process.signals import map_stoppable

__all__ = ["SWAPPED", "InputTraits", "Role", "Traits", "portrait_traits"]

SWAPPED = "if portrait and driving are swapped, swap them back"

Traits = Mapping[str, Any]
"""As `media.picture_traits`, `media.clip_traits` and `sound_traits` return them, or a `media.TrackList`."""
Role = str
"""`picture` for a portrait, `clip` for a driving clip, `sound` for a file of sound, `tracks` for either of these."""

_FOLDER = "cache/traits"


def portrait_traits(sandbox: Sandbox, path: Path) -> dict[str, Any]:
    """Return the traits of a portrait.

    Raises:
        InputError: it is not a picture that can be read; if it is a clip, the error asks whether columns are swapped.
    """
    try:
        return sandbox(media.picture_traits, path)
    except UnreadableMedia as error:
        if _is_clip(sandbox, path):
            raise UnreadableMedia(f"{error.message}; {SWAPPED}") from error
        raise


def _is_clip(sandbox: Sandbox, path: Path) -> bool:
    try:
        length = sandbox(media.read_length, path)
    except InputError:
        return False
    return length is not None and length[0] > 1


def _read_tracks(sandbox: Sandbox, path: Path) -> dict[str, Any]:
    tracks = sandbox(media.list_tracks, path)
    for number, sound in enumerate(tracks["audio"]):
        # By ffmpeg, in a process of its own; only where it could fail, because it takes a moment.
        sound["problems"] = media.sound_problems(path, number) if sound["unusual"] and sound["heard"] else {}
    return tracks


_READERS: dict[Role, Callable[[Sandbox, Path], dict[str, Any]]] = {
    "picture": portrait_traits,
    "clip": lambda sandbox, path: sandbox(media.clip_traits, path),
    "sound": lambda sandbox, path: sandbox(sound_traits, path, processor_seconds(path)),
    "tracks": _read_tracks,
}


class InputTraits:
    """Traits of inputs by role and content hash. Thread-safe.

    Keys depend on them, so a job whose traits cannot be read or remembered fails. A file that does not decode has none,
    also in later runs; only portraits are looked at again, because their jobs are refused at once. `ClipLengths`, which
    only serve an estimate, are apart because they may be missing.

    Args:
        store: the store that remembers the traits.
        sandbox: where files are opened.
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
        self._memo = PersistentDict(store, _FOLDER, ".json", _encode, _decode)

    def unreadable(self, content: str) -> InputError | None:
        """Return why a portrait with this content cannot be opened, as far as it was looked at."""
        return self._unreadable.get(content)

    def read(self, role: Role, content: str, path: Path) -> Callable[[], None]:
        """Read the traits of a local file, unless they are known; return a function that remembers them.

        A file that does not decode has none; why a portrait does not, `unreadable` returns.

        Raises:
            TooLarge: it takes more memory or time than `limits` allow.
            StoreError: the store cannot be read.
        """
        name = f"{role}:{content}"
        if self._is_known(role, content):
            return lambda: None
        try:
            traits = _READERS[role](self._sandbox, path)
        except TooLarge:  # other limits may find other traits: nothing is remembered
            raise
        except InputError as error:
            if role == "picture":
                return partial(self._unreadable.__setitem__, content, error)
            traits = {}  # the job reports what is wrong with the file
        return partial(self._memo.add, name, traits)

    def of(self, role: Role, content: str) -> Traits:
        """Return traits that `read` or `read_many` has read; none if that failed."""
        return self._memo.get(f"{role}:{content}") or {}

    def read_many(
        self, inputs: Iterable[tuple[Role, str, str]], hashes: ContentHashes
    ) -> dict[str, StoreError | TooLarge]:
        """Read the traits of many inputs, in parallel; return the errors by URI.

        Args:
            inputs: role, content hash and URI of each.
            hashes: what returned these hashes.
        """
        # By file, so that one elsewhere is fetched once.
        unknown: dict[tuple[str, str], list[Role]] = {}
        for role, content, uri in inputs:
            if not self._is_known(role, content):
                unknown.setdefault((content, uri), []).append(role)
        errors: dict[str, StoreError | TooLarge] = {}

        def fetch(file: tuple[str, str]) -> None:
            content, uri = file
            try:
                with hashes.reading(uri, content, self._policy) as path:
                    found = [self.read(role, content, path) for role in unknown[file]]
                for remember in found:
                    remember()
            except (StoreError, TooLarge) as error:
                errors[uri] = error
            except InputError:
                pass  # it is gone, or other than a moment ago: the job reports it

        map_stoppable(fetch, list(unknown), self._raise_if_cancelled)
        return errors

    def _is_known(self, role: Role, content: str) -> bool:
        traits = self._memo.get(f"{role}:{content}")
        if role == "picture":  # earlier versions remembered no traits of pictures that cannot be opened
            return bool(traits) or content in self._unreadable
        return traits is not None

    def save(self, run_id: str) -> None:
        """Write the traits that this run read to the store; do nothing if there are none.

        Raises:
            StoreError: they cannot be written.
        """
        self._memo.save(run_id)


def _encode(traits: Mapping[str, Traits]) -> bytes:
    return json.dumps(traits).encode()


def _decode(data: bytes) -> dict[str, Traits]:
    return {str(key): dict(value) for key, value in json.loads(data).items()}

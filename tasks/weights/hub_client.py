"""Files of a model repository on the hub: their listing with checksums, and a download that can go on later.

huggingface_hub does the listing, the token and the connection. It does not keep what arrived of a file when a
process ends, so the bytes are taken here: in order, into a file that stays, and hashed as they come. They come over
plain HTTP from the endpoint, whatever other storage the hub offers for them.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx2
from huggingface_hub import HfApi, get_session, get_token, hf_raise_for_status
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from troupe import __version__
from troupe.errors import WeightsError

__all__ = ["Digests", "Hub", "RemoteFile", "digests_of"]

T = TypeVar("T")
PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts; when they are used up without a byte gained, the error is the user's."""
TIMEOUT = 30.0
"""Seconds without an answer or a byte."""
CHUNK = 1 << 20
_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
AGAIN = "pull again, and it goes on where it stopped"


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository at one commit.

    Attributes:
        path: in the repository.
        size: bytes.
        sha256: of the content, for large files; empty if the hub keeps the file in git.
        blob: git's own hash of the file otherwise: SHA-1 over `blob <size>`, a zero byte and the content.
    """

    repo: str
    commit: str
    path: str
    size: int
    sha256: str
    blob: str

    @property
    def checksum(self) -> str:
        """What the hub says the content hashes to; names the content."""
        return self.sha256 or self.blob

    def matches(self, digests: Digests) -> bool:
        """Whether content with these digests is this file's."""
        return self.checksum == (digests.sha256 if self.sha256 else digests.blob)


@dataclass(frozen=True)
class Digests:
    """Both hashes of one content, in hexadecimal."""

    sha256: str
    blob: str


class Hasher:
    """Both hashes of a file of known size, from its bytes in order."""

    def __init__(self, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Take the next bytes."""
        self._sha256.update(data)
        self._blob.update(data)

    def digests(self) -> Digests:
        """Of all bytes so far."""
        return Digests(self._sha256.hexdigest(), self._blob.hexdigest())


def digests_of(path: Path) -> Digests:
    """Both hashes of a file on disk."""
    hasher = Hasher(path.stat().st_size)
    with path.open("rb") as stream:
        while data := stream.read(CHUNK):
            hasher.update(data)
    return hasher.digests()


class Hub:
    """The hub, or another server that speaks its language.

    Args:
        endpoint: its address; None takes HF_ENDPOINT, else the public hub.
        token: of an account; None takes HF_TOKEN, else the one that `hf auth login` stored.
    """

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        self._api = HfApi(
            endpoint=endpoint or os.environ.get("HF_ENDPOINT"), library_name="troupe", library_version=__version__
        )
        self._token = token or get_token()

    @property
    def endpoint(self) -> str:
        """Its address."""
        return self._api.endpoint.rstrip("/")

    def listing(self, repo: str, revision: str | None) -> Mapping[str, RemoteFile]:
        """Every file of the repository that has a checksum, by path, at the commit that `revision` means now.

        Raises:
            WeightsError: no such repository or revision, no permission, no connection.
        """

        def ask() -> Mapping[str, RemoteFile]:
            with self._explained(repo, revision or "its newest revision"):
                info = self._api.model_info(
                    repo,
                    revision=revision,
                    files_metadata=True,
                    timeout=TIMEOUT,
                    token=self._token or False,
                )
            if not info.sha:
                raise WeightsError(f"{self.endpoint} does not say which commit {repo} is at; is it a hub?")
            return {
                file.rfilename: RemoteFile(
                    repo, info.sha, file.rfilename, file.size, file.lfs.sha256 if file.lfs else "", file.blob_id or ""
                )
                for file in info.siblings or ()
                # A checksum also names a local file: nothing but a hash may pass for one.
                if file.size is not None and _HASH.fullmatch(file.lfs.sha256 if file.lfs else file.blob_id or "")
            }

        return _patiently(ask)

    def download(self, file: RemoteFile, partial: Path, on_bytes: Callable[[int], None]) -> Digests:
        """Complete `partial`, which may hold the file's first bytes already, and check the content.

        Returns:
            The hashes of what is now in `partial`.

        Raises:
            WeightsError: the content is not what the hub's checksum says (then `partial` is gone), or no connection
                or permission (then it stays, and the next call goes on from there).
            OSError: the disk does not take it.
        """
        hasher = Hasher(file.size)
        with partial.open("a+b") as stream:
            if stream.tell() > file.size:
                stream.truncate(0)
            stream.seek(0)
            while data := stream.read(CHUNK):
                hasher.update(data)

            def save(data: bytes) -> None:
                stream.write(data)
                hasher.update(data)
                on_bytes(stream.tell())

            on_bytes(stream.tell())
            if stream.tell() < file.size:
                _patiently(lambda: self._stream(file, stream.tell(), save), stream.tell)
            stream.flush()
            os.fsync(stream.fileno())
        digests = hasher.digests()
        if not file.matches(digests):
            partial.unlink()
            raise WeightsError(
                f"{file.path} of {file.repo} arrived damaged: the hub's checksum is {file.checksum}, "
                f"that of the content {digests.sha256 if file.sha256 else digests.blob}. It was deleted; "
                f"pull again, and if it stays so, look at what stands between here and {self.endpoint}"
            )
        return digests

    def _stream(self, file: RemoteFile, start: int, save: Callable[[bytes], None]) -> None:
        """Save the bytes from `start` on, as they come; those that came stay saved when the connection breaks."""
        url = f"{self.endpoint}/{file.repo}/resolve/{file.commit}/{quote(file.path)}"
        headers = {"Accept-Encoding": "identity", "User-Agent": f"troupe/{__version__}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"  # the session drops it when sent on to another host
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            self._explained(file.repo, file.path),
            get_session().stream("GET", url, headers=headers, timeout=TIMEOUT) as response,
        ):
            hf_raise_for_status(response)
            skip = 0 if response.status_code == httpx2.codes.PARTIAL_CONTENT else start
            room = file.size - start
            for data in response.iter_bytes():
                fresh = data[skip:]
                skip -= len(data) - len(fresh)
                save(fresh[:room])
                room -= len(fresh)
                if room < 0:
                    raise WeightsError(f"{self.endpoint} sends more of {file.path} than the {file.size} bytes it said")
        if room > 0:
            raise _Passing(f"{self.endpoint} ended {file.path} of {file.repo} {room} bytes early; {AGAIN}")

    @contextmanager
    def _explained(self, repo: str, what: str) -> Iterator[None]:
        """Turn what the connection raises into an error that says what to do."""
        page = f"https://huggingface.co/{repo}"
        try:
            yield
        except GatedRepoError as error:
            if self._token is None:
                raise WeightsError(
                    f"{repo} is gated: accept its terms on {page}, make an access token on "
                    "https://huggingface.co/settings/tokens, put it into HF_TOKEN, and pull again"
                ) from error
            raise WeightsError(
                f"{repo} is gated, and the account of this token may not read it: accept its terms on {page} with "
                "that account, see that the token may read gated repositories, and pull again"
            ) from error
        except RevisionNotFoundError as error:
            raise WeightsError(f"{repo} has no revision {what} at {self.endpoint}") from error
        except RemoteEntryNotFoundError as error:
            raise WeightsError(f"{repo} has no file {what} at {self.endpoint}") from error
        except RepositoryNotFoundError as error:
            raise WeightsError(
                f"{self.endpoint} has no repository {repo}, or does not show it "
                + ("without a token: set HF_TOKEN" if self._token is None else "to the account of this token")
            ) from error
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status in (408, 429) or status >= 500:
                raise _Passing(f"{self.endpoint} answers {status} for {what} of {repo}; {AGAIN}") from error
            if status in (401, 403):
                raise WeightsError(
                    f"{self.endpoint} refuses {what} of {repo} ({status}): "
                    + ("set HF_TOKEN" if self._token is None else "this token is not valid there, or may not read it")
                ) from error
            raise WeightsError(f"{self.endpoint} answers {status} for {what} of {repo}") from error
        except OfflineModeIsEnabled as error:
            raise WeightsError("HF_HUB_OFFLINE forbids to ask the hub; unset it and pull again") from error
        except httpx2.TransportError as error:
            raise _Passing(
                f"no connection to {self.endpoint} for {what} of {repo} ({str(error) or type(error).__name__}); "
                f"see that the network, its proxy and HF_ENDPOINT are right; {AGAIN}"
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, HFValidationError, ValueError, TypeError, KeyError) as error:
            raise WeightsError(f"{self.endpoint} does not answer as a hub for {what} of {repo}: {error}") from error


class _Passing(WeightsError):
    """May be better at the next attempt."""


def _patiently(call: Callable[[], T], gained: Callable[[], int] = lambda: 0) -> T:
    """Call again after a pause while it fails in a way that passes; progress (`gained`) starts the count anew."""
    attempt, before = 0, gained()
    while True:
        try:
            return call()
        except _Passing:
            if gained() > before:
                attempt, before = 0, gained()
            if attempt == len(PAUSES):
                raise
            time.sleep(PAUSES[attempt])
            attempt += 1

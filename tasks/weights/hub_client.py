"""Client of the model hub: listings with checksums, and downloads that resume.

huggingface_hub does the listing, the token and the connection. It does not keep a partial file when a process ends, so
the bytes are written here: in order, to a file that stays, and hashed on the way. They come over plain HTTP from the
endpoint, whatever other storage the hub offers for them.
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

__all__ = ["Digests", "Hub", "RemoteFile", "file_digests"]

T = TypeVar("T")
RETRY_PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts. After the last one without a byte received, the error is raised."""
TIMEOUT = 30.0
"""Seconds without a response or a byte."""
CHUNK = 1 << 20
_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
RESUME = "pull again to resume"


@dataclass(frozen=True)
class RemoteFile:
    """One file of a repository at one commit.

    Attributes:
        path: path in the repository.
        size: size in bytes.
        sha256: hash of the content, for large files; empty if the hub stores the file in git.
        blob: git's hash of the file: SHA-1 over `blob <size>`, a zero byte and the content.
    """

    repo: str
    commit: str
    path: str
    size: int
    sha256: str
    blob: str

    @property
    def checksum(self) -> str:
        """The hub's checksum of the content, which also names the content."""
        return self.sha256 or self.blob

    def matches(self, digests: Digests) -> bool:
        """Return whether these are the digests of this file's content."""
        return self.checksum == (digests.sha256 if self.sha256 else digests.blob)


@dataclass(frozen=True)
class Digests:
    """SHA-256 and git's hash of a content, in hexadecimal."""

    sha256: str
    blob: str


class Hasher:
    """Computes both hashes of a file of known size from its bytes in order."""

    def __init__(self, size: int) -> None:
        self._sha256 = hashlib.sha256()
        self._blob = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._sha256.update(data)
        self._blob.update(data)

    def digests(self) -> Digests:
        """Return the digests of all bytes so far."""
        return Digests(self._sha256.hexdigest(), self._blob.hexdigest())


def file_digests(path: Path) -> Digests:
    """Return both hashes of a local file."""
    hasher = Hasher(path.stat().st_size)
    with path.open("rb") as stream:
        while data := stream.read(CHUNK):
            hasher.update(data)
    return hasher.digests()


class Hub:
    """Client of the hub, or of another server with the same interface.

    Args:
        endpoint: URL of the server; None uses HF_ENDPOINT, else the public hub.
        token: access token; None uses HF_TOKEN, else the one that `hf auth login` stored.
    """

    def __init__(self, endpoint: str | None = None, token: str | None = None) -> None:
        self._api = HfApi(
            endpoint=endpoint or os.environ.get("HF_ENDPOINT"), library_name="troupe", library_version=__version__
        )
        self._token = token or get_token()

    @property
    def endpoint(self) -> str:
        """URL of the server."""
        return self._api.endpoint.rstrip("/")

    def listing(self, repo: str, revision: str | None) -> Mapping[str, RemoteFile]:
        """Return the files of the repository that have a checksum, by path, at the commit that `revision` now names.

        Raises:
            WeightsError: the repository or revision does not exist, access is denied, or there is no connection.
        """

        def request() -> Mapping[str, RemoteFile]:
            with self._translate_errors(repo, revision or "its newest revision"):
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

        return _with_retries(request)

    def download(self, file: RemoteFile, partial: Path, on_bytes: Callable[[int], None]) -> Digests:
        """Complete `partial`, which may already contain the file's first bytes, and check the content.

        Args:
            file: file to download.
            partial: local path; created if it does not exist.
            on_bytes: function to report the number of bytes in `partial` to.

        Returns:
            The hashes of the content of `partial`.

        Raises:
            WeightsError: the content does not match the hub's checksum (then `partial` is deleted), or there is no
                connection or permission (then it stays, and the next call resumes).
            OSError: the disk cannot be written.
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
                _with_retries(lambda: self._stream(file, stream.tell(), save), stream.tell)
            stream.flush()
            os.fsync(stream.fileno())
        digests = hasher.digests()
        if not file.matches(digests):
            partial.unlink()
            raise WeightsError(
                f"{file.path} of {file.repo} arrived damaged: the hub's checksum is {file.checksum}, "
                f"that of the content {digests.sha256 if file.sha256 else digests.blob}. It was deleted; "
                f"pull again, and if the error persists, check the proxies between here and {self.endpoint}"
            )
        return digests

    def _stream(self, file: RemoteFile, start: int, save: Callable[[bytes], None]) -> None:
        """Save the bytes from `start` on as they arrive; they stay saved if the connection breaks."""
        url = f"{self.endpoint}/{file.repo}/resolve/{file.commit}/{quote(file.path)}"
        headers = {"Accept-Encoding": "identity", "User-Agent": f"troupe/{__version__}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"  # the session drops it when redirected to another host
        if start:
            headers["Range"] = f"bytes={start}-"
        with (
            self._translate_errors(file.repo, file.path),
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
                    raise WeightsError(
                        f"{self.endpoint} sends more than the announced {file.size} bytes of {file.path}"
                    )
        if room > 0:
            raise _TransientError(f"{self.endpoint} ended {file.path} of {file.repo} {room} bytes early; {RESUME}")

    @contextmanager
    def _translate_errors(self, repo: str, what: str) -> Iterator[None]:
        """Turn errors of the connection into errors that say what to do."""
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
                "that account, check that the token may read gated repositories, and pull again"
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
                raise _TransientError(f"{self.endpoint} answers {status} for {what} of {repo}; {RESUME}") from error
            if status in (401, 403):
                raise WeightsError(
                    f"{self.endpoint} refuses {what} of {repo} ({status}): "
                    + ("set HF_TOKEN" if self._token is None else "this token is not valid there, or may not read it")
                ) from error
            raise WeightsError(f"{self.endpoint} answers {status} for {what} of {repo}") from error
        except OfflineModeIsEnabled as error:
            raise WeightsError("HF_HUB_OFFLINE disables requests to the hub; unset it and pull again") from error
        except httpx2.TransportError as error:
            raise _TransientError(
                f"no connection to {self.endpoint} for {what} of {repo} ({str(error) or type(error).__name__}); "
                f"check the network, its proxy and HF_ENDPOINT; {RESUME}"
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, HFValidationError, ValueError, TypeError, KeyError) as error:
            raise WeightsError(f"{self.endpoint} gives an invalid response for {what} of {repo}: {error}") from error


class _TransientError(WeightsError):
    """An error that the next attempt may not have."""


def _with_retries(call: Callable[[], T], gained: Callable[[], int] = lambda: 0) -> T:
    """Return `call()`, retried after pauses while it fails with a transient error.

    Progress, a greater `gained()`, restarts the count of attempts.
    """
    attempt, before = 0, gained()
    while True:
        try:
            return call()
        except _TransientError:
            if gained() > before:
                attempt, before = 0, gained()
            if attempt == len(RETRY_PAUSES):
                raise
            time.sleep(RETRY_PAUSES[attempt])
            attempt += 1

"""A store in a local folder."""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from catalogs.store.listing import Entry, Upload
from troupe.files import is_part, part_name, replacing

__all__ = ["Folder"]

# What deltalake 1.6 misreads in a local path: it decodes %20 and refuses the others.
_NOT_FOR_DELTA = re.compile(r"[\[\]\\^|\x00-\x1f]|%[0-9A-Fa-f]{2}")
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class Folder:
    """Files below `root`; keys are relative paths with `/`.

    A file is written under a hidden name in its folder and then renamed, so that it appears whole or not at all. (After
    a power failure it may still be truncated: nothing waits for the disk.)
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def size(self, key: str) -> int:
        """Return the size of a file in bytes."""
        path = self.root / key
        if path.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return path.stat().st_size

    def read(self, key: str) -> bytes:
        """Return the content of a file."""
        return (self.root / key).read_bytes()

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes [start, stop) of a file, which is not a link to another."""
        with open(self.root / key, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW)) as file:
            file.seek(start)
            return file.read(stop - start)

    def get(self, key: str, local: Path) -> None:
        """Copy a file to `local`."""
        shutil.copyfile(self.root / key, local)

    def create(self, source: Path | bytes, key: str, nonce: str) -> bool:
        """Create a file; return False if it exists."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(part_name(nonce))
        try:
            _write(source, part)
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError as error:
            # Some file systems have no hard links; a check and a rename is the best they offer.
            if error.errno not in _NO_HARD_LINKS:
                raise
            if path.exists():
                return False
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        return True

    def replace(self, source: Path | bytes, key: str) -> None:
        """Create a file, or replace it if it exists."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            _write(source, part)

    def entries(self, prefix: str) -> list[Entry]:
        """List all files below a folder, including half-written ones."""
        found = []
        for path in (self.root / prefix).rglob("*"):
            with suppress(FileNotFoundError):  # deleted while the folder was listed
                status = path.stat()
                if not path.is_dir():
                    modified = datetime.fromtimestamp(status.st_mtime, UTC)
                    found.append(Entry(path.relative_to(self.root).as_posix(), status.st_size, modified))
        return found

    def uploads(self) -> list[Upload]:
        """Return an empty list: half-written files are among `entries`."""
        return []

    def abort(self, upload: Upload) -> None:
        """Do nothing: a folder has no multipart uploads."""

    def delta(self, key: str) -> tuple[str, dict[str, str]] | None:
        """Return URI and storage options of the deltalake table at `key`; None if deltalake does not support it."""
        path = str(self.root / key)
        return None if _NOT_FOR_DELTA.search(path) else (path, {})

    def names(self) -> list[str]:
        """List the names at the top."""
        return [path.name for path in self.root.iterdir()]

    def list(self, prefix: str) -> list[str]:
        """List the keys of all files below a folder."""

        def unless_missing(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise error

        return [
            (Path(folder) / file).relative_to(self.root).as_posix()
            for folder, _, files in os.walk(self.root / prefix, onerror=unless_missing)
            for file in files
            if not is_part(file)
        ]

    def delete(self, key: str) -> None:
        """Delete a file."""
        (self.root / key).unlink()


def _write(source: Path | bytes, path: Path) -> None:
    if isinstance(source, bytes):
        path.write_bytes(source)
    else:
        shutil.copyfile(source, path)

"""Fill a weights directory with the public release, whole and checked, however often it takes.

What is done stands in `pulled.json`: for every repository the commit that its files are of, so that a later pull
goes on with the same one, and for every file its hash, size and time of change, so that nothing is read twice.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from tasks.weights.hub_client import Hub, RemoteFile, digests_of
from tasks.weights.sources import LICENCES, RELEASE, Source
from troupe.errors import WeightsError
from troupe.files import file_sha256, replacing

__all__ = ["OnProgress", "PullReport", "Pulled", "pull"]

RECORD = "pulled.json"
PARTIAL = ".pulling"

OnProgress = Callable[[str, int, int], None]
"""Called with a file's path in the directory, how many bytes of it are there, and its size."""


@dataclass(frozen=True)
class Pulled:
    """One file of the release, in place and checked.

    Attributes:
        repo, commit, file: where it is from: repository, revision and path in it.
        sha256: of its content.
        size: bytes.
        modified_ns: its time of change when it was checked; while that and the size stay, so does the content.
    """

    repo: str
    commit: str
    file: str
    sha256: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class PullReport:
    """What a pull did.

    Attributes:
        files: every file of the release, by its path in the directory.
        fetched: the paths of those that this pull fetched.
    """

    files: dict[str, Pulled]
    fetched: tuple[str, ...]


def pull(
    directory: Path,
    *,
    accept_licences: bool,
    token: str | None = None,
    endpoint: str | None = None,
    on_progress: OnProgress | None = None,
) -> PullReport:
    """Download what the directory lacks of the release, check it against the hub's checksums, and record it.

    A pull that was cut short goes on where it stopped; one that finds all in place asks nobody. A `.pth` file that
    was converted and deleted counts as in place. A file that an earlier pull put there and that changed since is
    fetched again; one that somebody else put there is taken over if it is the release's, and left alone if not.

    Args:
        accept_licences: whether the user has seen and accepted `LICENCES`.
        token: of an account on the hub; None takes HF_TOKEN, else the stored login.
        endpoint: of the hub; None takes HF_ENDPOINT, else the public one.

    Raises:
        WeightsError: the licences are not accepted, and nothing was asked or written; or the hub, the network or
            the disk prevents it, and what has come so far stays.
    """
    if not accept_licences:
        raise WeightsError(
            "the release is downloaded once its licences are accepted (--accept-licences)",
            [f"{licence.repo}: {licence.terms} {licence.page}" for licence in LICENCES],
        )
    hub = Hub(endpoint, token)
    with _alone(directory):
        report = _fill(directory, hub, RELEASE, on_progress or _silent)
    shutil.rmtree(directory / PARTIAL, ignore_errors=True)
    return report


def _fill(directory: Path, hub: Hub, release: Sequence[Source], on_progress: OnProgress) -> PullReport:
    record = _Record.read(directory)
    wanted: dict[str, RemoteFile] = {}
    for source in release:
        lacking = [path for path in source.files if not _in_place(directory, path, source, record)]
        if lacking:
            wanted |= _locate(hub, source, lacking, record)
    record.write(directory)
    missing = {path: file for path, file in wanted.items() if not _taken_over(directory, path, file, record)}
    _check_room(directory, missing.values())
    for path, file in missing.items():
        _fetch(directory, hub, path, file, record, on_progress)
    return PullReport({path: record.files[path] for source in release for path in source.files}, tuple(missing))


def _fetch(directory: Path, hub: Hub, path: str, file: RemoteFile, record: _Record, on_progress: OnProgress) -> None:
    """Download one file, then put it in its place at once."""
    partial, target = _partial(directory, file), directory / path
    digests = hub.download(file, partial, lambda done: on_progress(path, done, file.size))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(target)
    record.note(directory, path, file, digests.sha256)


def _in_place(directory: Path, path: str, source: Source, record: _Record) -> bool:
    """Whether the file, or the one converted from it, is there as recorded."""
    known, target = record.files.get(path), directory / path
    if known is None or source.revision not in (None, known.commit):
        return False
    if not target.exists():
        return _converted_from(target) == known.sha256
    state = target.stat()
    if state.st_size != known.size:
        return False
    if state.st_mtime_ns != known.modified_ns:
        if file_sha256(target) != known.sha256:
            return False
        record.files[path] = replace(known, modified_ns=state.st_mtime_ns)
    return True


def _converted_from(source: Path) -> str | None:
    """The hash of the file that the `.safetensors` file in place of `source` was made from."""
    converted = source.with_suffix(".safetensors")
    if source.suffix != ".pth" or not converted.is_file():
        return None
    from models.weights import source_hash  # brings torch, which a pull can do without otherwise

    return source_hash(converted)


def _locate(hub: Hub, source: Source, paths: Sequence[str], record: _Record) -> dict[str, RemoteFile]:
    """Where in the repository each of the directory's `paths` lies, at the commit recorded or, now, to be recorded."""
    listing = hub.listing(source.repo, source.revision or record.commits.get(source.repo))
    found, problems = {}, []
    for path in paths:
        name = PurePosixPath(path).name
        same = [path] if path in listing else [other for other in listing if PurePosixPath(other).name == name]
        if len(same) == 1:
            found[path] = listing[same[0]]
            record.commits[source.repo] = found[path].commit
        else:
            problems.append(f"{path}: " + (f"could be any of {', '.join(same)}" if same else "is not there"))
    if problems:
        raise WeightsError(f"{source.repo} at {hub.endpoint} is not as the release describes it", problems)
    return found


def _taken_over(directory: Path, path: str, file: RemoteFile, record: _Record) -> bool:
    """Whether a file that no pull put there is the right one; then it is recorded."""
    target = directory / path
    if path in record.files or not target.exists():
        return False
    digests = digests_of(target)
    if not file.matches(digests):
        raise WeightsError(
            f"{target} is not the release's, and no pull put it there; move it away, or pull into another directory"
        )
    record.note(directory, path, file, digests.sha256)
    return True


def _partial(directory: Path, file: RemoteFile) -> Path:
    """Named by content, so that what came of another revision is not mistaken for this one's."""
    return directory / PARTIAL / file.checksum


def _check_room(directory: Path, files: Iterable[RemoteFile]) -> None:
    """Stop before the first byte where the last one would not fit."""
    partials = {file: _partial(directory, file) for file in files}
    need = sum(file.size - (partial.stat().st_size if partial.exists() else 0) for file, partial in partials.items())
    free = shutil.disk_usage(directory).free
    if need > free:
        raise WeightsError(
            f"{directory} has {free / 1e9:.1f} GB free, and {need / 1e9:.1f} GB are still to come; "
            "make room, or pull into a directory on another disk"
        )


def _silent(path: str, done: int, size: int) -> None:
    """Tell nobody."""


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """The only pull into this directory; what its disk refuses becomes an error that names it.

    Raises:
        WeightsError: another pull is at it, or the disk is full or not to be written.
    """
    try:
        partials = directory / PARTIAL
        partials.mkdir(parents=True, exist_ok=True)
        with FileLock(partials / "lock", timeout=0):
            yield
    except Timeout as error:
        raise WeightsError(f"another pull is filling {directory}; wait for it to end") from error
    except OSError as error:
        raise WeightsError(f"{directory} cannot be filled: {error}") from error


@dataclass
class _Record:
    """`pulled.json`: the commit of each repository, and each file that is in place by its path."""

    commits: dict[str, str] = field(default_factory=dict)
    files: dict[str, Pulled] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> _Record:
        """The directory's; empty if it has none."""
        path = directory / RECORD
        if not path.exists():
            return cls()
        try:
            value = json.loads(path.read_text())
            return cls(dict(value["commits"]), {name: Pulled(**entry) for name, entry in value["files"].items()})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError(
                f"{path} is damaged; delete it and pull again: files that are right are not fetched twice"
            ) from error

    def write(self, directory: Path) -> None:
        """Replace the directory's, whole."""
        files = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        with replacing(directory / RECORD, sole_writer=True) as written:
            written.write_text(json.dumps({"commits": self.commits, "files": files}, indent=2) + "\n")

    def note(self, directory: Path, path: str, file: RemoteFile, sha256: str) -> None:
        """Remember that the file is in place and right."""
        modified = (directory / path).stat().st_mtime_ns
        self.files[path] = Pulled(file.repo, file.commit, file.path, sha256, file.size, modified)
        self.write(directory)

"""Download the public release into a weights directory, with checksums; an interrupted download resumes.

`pulled.json` records the state: for every repository the commit of its files, so that a later pull continues with the
same one, and for every file its hash, size and modification time, so that nothing is read twice. A `.safetensors` file
that `troupe weights convert` wrote has an entry of its own: what the file itself says it was made from proves nothing.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath

from filelock import FileLock, Timeout

from tasks.weights.hub_client import Hub, RemoteFile, file_digests
from tasks.weights.sources import LICENCES, RELEASE, Source
from troupe.errors import WeightsError
from troupe.files import file_sha256, replacing

__all__ = ["OnProgress", "PullReport", "Pulled", "note_converted", "pull"]

RECORD = "pulled.json"
PARTIAL = ".pulling"

OnProgress = Callable[[str, int, int], None]
"""Called with a file's path in the directory, the number of bytes downloaded, and its size."""


@dataclass(frozen=True)
class Pulled:
    """A downloaded and checked file of the release, or one converted from it.

    Attributes:
        repo, commit, file: source of the file: repository, revision and path in it.
        sha256: hash of the content.
        size: size in bytes.
        modified_ns: modification time when it was checked; while this and the size stay the same, so does the content.
    """

    repo: str
    commit: str
    file: str
    sha256: str
    size: int
    modified_ns: int


@dataclass(frozen=True)
class PullReport:
    """The outcome of a pull.

    Attributes:
        files: all files of the release, by path in the directory.
        fetched: paths of the files that this pull downloaded.
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
    """Download the files of the release that the directory lacks, check their checksums, and record them.

    An interrupted pull resumes; a pull of a complete directory makes no request. A `.pth` file that was converted and
    deleted counts as present while the converted file is the recorded one. A file of an earlier pull that has changed
    is downloaded again. A file from elsewhere is recorded if its content is the release's, and a converted one if its
    tensors are; otherwise the pull fails and leaves it as it is.

    Args:
        directory: weights directory; created if it does not exist.
        accept_licences: whether the user has read and accepted `LICENCES`.
        token: access token of the hub; None uses HF_TOKEN, else the stored login.
        endpoint: URL of the hub; None uses HF_ENDPOINT, else the public hub.
        on_progress: function to report progress to.

    Raises:
        WeightsError: the licences are not accepted (then nothing is requested or written), or the hub, the network or
            the disk fails (then what was downloaded stays).
    """
    if not accept_licences:
        raise WeightsError(
            "the release is downloaded once its licences are accepted (--accept-licences)",
            [f"{licence.repo}: {licence.terms} {licence.page}" for licence in LICENCES],
        )
    hub = Hub(endpoint, token)
    with _locked(directory):
        report = _fill(directory, hub, RELEASE, on_progress or _ignore)
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
    missing = {path: file for path, file in wanted.items() if not _is_adopted(directory, path, file, record)}
    _check_room(directory, missing.values())
    for path, file in missing.items():
        _fetch(directory, hub, path, file, record, on_progress)
    _check_converted(directory, (path for source in release for path in source.files), record)
    return PullReport({path: record.files[path] for source in release for path in source.files}, tuple(missing))


def _fetch(directory: Path, hub: Hub, path: str, file: RemoteFile, record: _Record, on_progress: OnProgress) -> None:
    """Download one file, then move it to its place."""
    partial, target = _partial(directory, file), directory / path
    digests = hub.download(file, partial, lambda done: on_progress(path, done, file.size))
    target.parent.mkdir(parents=True, exist_ok=True)
    partial.replace(target)
    record.note(directory, path, file, digests.sha256)


def _in_place(directory: Path, path: str, source: Source, record: _Record) -> bool:
    """Return whether the file, or the one converted from it, exists as recorded."""
    known = record.files.get(path)
    if known is None or source.revision not in (None, known.commit):
        return False
    if (directory / path).exists():
        return _is_unchanged(directory, path, record)
    converted = _converted(path)
    origin = record.files.get(converted)
    return origin is not None and origin.commit == known.commit and _is_unchanged(directory, converted, record)


def _is_unchanged(directory: Path, path: str, record: _Record) -> bool:
    """Return whether a file exists as recorded; it is hashed unless its size and time are the recorded ones, too."""
    known = record.files[path]
    try:
        status = (directory / path).stat()
    except FileNotFoundError:
        return False
    if status.st_size != known.size:
        return False
    if status.st_mtime_ns != known.modified_ns:
        if file_sha256(directory / path) != known.sha256:
            return False
        record.files[path] = replace(known, modified_ns=status.st_mtime_ns)
    return True


def _converted(path: str) -> str:
    """Return the path of the file that a `.pth` file is converted to."""
    return str(PurePosixPath(path).with_suffix(".safetensors"))


def _check_converted(directory: Path, paths: Iterable[str], record: _Record) -> None:
    """Compare converted files, which are used in place of their sources, with these, unless that was done already.

    Raises:
        WeightsError: one of them has other tensors.
    """
    problems = []
    for path in paths:
        converted, known = _converted(path), record.files[path]
        if not path.endswith(".pth") or not (directory / converted).is_file() or not (directory / path).is_file():
            continue
        origin = record.files.get(converted)
        if origin is not None and origin.commit == known.commit and _is_unchanged(directory, converted, record):
            continue
        from models.weights import same_tensors  # imports torch, which a pull does not need otherwise

        if same_tensors(directory / path, directory / converted):
            record.note_converted(directory, path)
        else:
            problems.append(f"{directory / converted}: remove it, and run `troupe weights convert {directory}`")
    if problems:
        raise WeightsError("converted files are not those of the release", problems)


def note_converted(directory: Path, converted: Path) -> None:
    """Record that a file was just converted from one of the release, which may be deleted then.

    Raises:
        WeightsError: the directory's record is damaged.
    """
    record, path = _Record.read(directory), converted.relative_to(directory).with_suffix(".pth").as_posix()
    known = record.files.get(path)
    if known is not None and file_sha256(directory / path) == known.sha256:
        record.note_converted(directory, path)


def _locate(hub: Hub, source: Source, paths: Sequence[str], record: _Record) -> dict[str, RemoteFile]:
    """Return the file of the repository for each path of the directory, at the recorded commit, else the newest one."""
    listing = hub.listing(source.repo, source.revision or record.commits.get(source.repo))
    found, problems = {}, []
    for path in paths:
        name = PurePosixPath(path).name
        same = [path] if path in listing else [other for other in listing if PurePosixPath(other).name == name]
        if len(same) == 1:
            found[path] = listing[same[0]]
            record.commits[source.repo] = found[path].commit
        else:
            problems.append(f"{path}: " + (f"could be any of {', '.join(same)}" if same else "not found"))
    if problems:
        raise WeightsError(f"{source.repo} at {hub.endpoint} does not match the release", problems)
    return found


def _is_adopted(directory: Path, path: str, file: RemoteFile, record: _Record) -> bool:
    """Return whether a file from elsewhere is the release's, and record it then."""
    target = directory / path
    if path in record.files or not target.exists():
        return False
    digests = file_digests(target)
    if not file.matches(digests):
        raise WeightsError(f"{target} is not a file of the release; move it away, or pull into another directory")
    record.note(directory, path, file, digests.sha256)
    return True


def _partial(directory: Path, file: RemoteFile) -> Path:
    """Return the path of a partial download. It is named by content, so that another revision has another one."""
    return directory / PARTIAL / file.checksum


def _check_room(directory: Path, files: Iterable[RemoteFile]) -> None:
    """Raise before the download if the disk has too little space for it."""
    partials = {file: _partial(directory, file) for file in files}
    need = sum(file.size - (partial.stat().st_size if partial.exists() else 0) for file, partial in partials.items())
    free = shutil.disk_usage(directory).free
    if need > free:
        raise WeightsError(
            f"{directory} has {free / 1e9:.1f} GB free, but {need / 1e9:.1f} GB are still to be downloaded; "
            "make room, or pull into a directory on another disk"
        )


def _ignore(path: str, done: int, size: int) -> None:
    """Ignore progress."""


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lock the directory against other pulls, and turn errors of its disk into errors that name it.

    Raises:
        WeightsError: another pull is running, or the disk is full or not writable.
    """
    try:
        partials = directory / PARTIAL
        partials.mkdir(parents=True, exist_ok=True)
        with FileLock(partials / "lock", timeout=0):
            yield
    except Timeout as error:
        raise WeightsError(f"another pull into {directory} is running; wait until it ends") from error
    except OSError as error:
        raise WeightsError(f"cannot write to {directory}: {error}") from error


@dataclass
class _Record:
    """`pulled.json`: the commit of each repository, and the files in place, by path."""

    commits: dict[str, str] = field(default_factory=dict)
    files: dict[str, Pulled] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> _Record:
        """Read the directory's record; empty if it has none."""
        path = directory / RECORD
        if not path.exists():
            return cls()
        try:
            value = json.loads(path.read_text())
            return cls(dict(value["commits"]), {name: Pulled(**entry) for name, entry in value["files"].items()})
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise WeightsError(
                f"{path} is damaged; delete it and pull again; valid files are not downloaded again"
            ) from error

    def write(self, directory: Path) -> None:
        """Replace the directory's record."""
        files = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        with replacing(directory / RECORD, sole_writer=True) as written:
            written.write_text(json.dumps({"commits": self.commits, "files": files}, indent=2) + "\n")

    def note(self, directory: Path, path: str, file: RemoteFile, sha256: str) -> None:
        """Record that the file is in place and valid."""
        modified = (directory / path).stat().st_mtime_ns
        self.files[path] = Pulled(file.repo, file.commit, file.path, sha256, file.size, modified)
        self.write(directory)

    def note_converted(self, directory: Path, path: str) -> None:
        """Record that the file converted from the one at `path` has the same tensors."""
        converted = directory / _converted(path)
        status = converted.stat()
        self.files[_converted(path)] = replace(
            self.files[path], sha256=file_sha256(converted), size=status.st_size, modified_ns=status.st_mtime_ns
        )
        self.write(directory)

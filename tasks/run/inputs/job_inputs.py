"""The inputs of a run's jobs: hashes of their content, what their headers say, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from catalogs.requests.access.content_hashes import ContentHashes, Input
from catalogs.requests.access.input_policy import InputPolicy
from catalogs.store.store import Store
from tasks.media.sandbox import Sandbox
from tasks.run.inputs.clip_ends import ClipEnds
from tasks.run.inputs.clip_lengths import ClipLengths, Length
from tasks.run.inputs.subtitle_files import SubtitleFiles
from tasks.run.inputs.traits import InputTraits
from tasks.run.job_spec import JobTraits, roles_of, uris_of
from troupe import Job
from troupe.errors import InputError, TroupeError

__all__ = ["JobInputs"]


class JobInputs:
    """The inputs of jobs, each read once: while it is hashed, or later if the store remembers its hash only.

    Args:
        jobs: the jobs.
        store: the store that remembers what was read.
        sandbox: where files are opened.
        policy: which inputs may be read.
        raise_if_cancelled: called often; stops the work by raising.

    Attributes:
        hashes: hashes of content, of these inputs and of other files.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        store: Store,
        sandbox: Sandbox,
        policy: InputPolicy,
        raise_if_cancelled: Callable[[], None],
    ) -> None:
        self._jobs, self._policy, self._raise_if_cancelled = jobs, policy, raise_if_cancelled
        self._clips = {job.driving for job in jobs}
        self._roles = {(role, uri) for job in jobs for role, uri in roles_of(job)}
        self._lengths = ClipLengths(store, sandbox, raise_if_cancelled, policy)
        self._traits = InputTraits(store, sandbox, raise_if_cancelled, policy)
        self._contents: dict[str, str | TroupeError] = {}
        self._clip_lengths: dict[str, Length] = {}
        self.hashes = ContentHashes(store, self._measure, raise_if_cancelled)

    def read(self) -> None:
        """Read all inputs. What is wrong with one concerns only the jobs that name it.

        Raises:
            StoreError: the store cannot be read.
        """
        hashes = self.hashes
        contents = hashes.of_many({uri for job in self._jobs for uri in uris_of(job)}, self._policy)
        clips = {uri: content for uri in self._clips if isinstance(content := contents[uri], str)}
        self._clip_lengths = self._lengths.of_many({content: uri for uri, content in clips.items()}, hashes)
        self._ends = ClipEnds(self._jobs, clips, self._clip_lengths, self._lengths, hashes)
        readable = [(role, content, uri) for role, uri in self._roles if isinstance(content := contents[uri], str)]
        contents |= self._traits.read_many(readable, hashes)
        self._contents = contents
        self._subtitles = SubtitleFiles(self._jobs, contents, hashes, self._policy, self._raise_if_cancelled)

    def save(self, run_id: str) -> None:
        """Write what this run read to the store.

        Raises:
            StoreError: it cannot be written.
        """
        self._traits.save(run_id)
        self.hashes.save(run_id)
        self._lengths.save(run_id)

    @property
    def readable(self) -> dict[str, Input]:
        """The inputs that can be read, by URI."""
        contents = self._contents.items()
        return {uri: self.hashes.input(uri, content) for uri, content in contents if isinstance(content, str)}

    def sha256(self, uri: str) -> str:
        """Return the hash of an input's content; empty if it cannot be read."""
        content = self._contents[uri]
        return content if isinstance(content, str) else ""

    def problems(self, job: Job) -> list[TroupeError]:
        """Return why inputs of a job cannot be read."""
        contents = {uri: self._contents[uri] for uri in uris_of(job)}.values()
        return [content for content in contents if isinstance(content, TroupeError)]

    def unreadable(self, job: Job) -> list[InputError]:
        """Return why the portrait and the clip of a job cannot be opened, as far as they were looked at."""
        portrait, clip = self.sha256(job.portrait), self.sha256(job.driving)
        return [error for error in (self._traits.unreadable(portrait), self._lengths.unreadable(clip)) if error]

    def is_still(self, job: Job) -> bool:
        """Return whether the clip of a job is known to be a single picture."""
        length = self._clip_lengths.get(self.sha256(job.driving))
        return length is not None and length[0] == 1

    def range_problem(self, job: Job) -> InputError | None:
        """Return why there are no frames between the `start` and the `end` of a job."""
        return self._ends.problem(job)

    def range_note(self, job: Job) -> str:
        """Return a note that the clip of a job ends before its `end`; empty if it does not."""
        return self._ends.note(job)

    def subtitles_problem(self, job: Job) -> TroupeError | None:
        """Return why the subtitles of a job cannot be used."""
        return self._subtitles.problem(job)

    def traits(self, job: Job) -> JobTraits:
        """Return the traits of a job whose inputs can all be read."""
        length = self._clip_lengths.get(self.sha256(job.driving))
        return JobTraits(length, *(self._traits.of(role, self.sha256(uri)) for role, uri in roles_of(job)))

    def _measure(self, uri: str, content: str, path: Path) -> Callable[[], None]:
        """Read more of a file that is being hashed; return a function that remembers it."""
        found = [self._lengths.measure(content, path)] if uri in self._clips else []
        sorts = ("picture", "clip", "sound", "tracks")
        found += [self._traits.read(role, content, path) for role in sorts if (role, uri) in self._roles]

        def remember() -> None:
            for one in found:
                one()

        return remember

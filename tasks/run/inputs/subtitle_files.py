"""Files of subtitles, read when a run is planned: broken ones are refused, and those that cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.requests.access.input_policy import InputPolicy
from catalogs.requests.inputs import input_error
from catalogs.store.uris import name
from tasks.media.subtitles import Subtitles, burn_problem, read_subtitles
from troupe import Job
from troupe.errors import Cancelled, InputError, TroupeError
from troupe.process.signals import map_stoppable

__all__ = ["SubtitleFiles"]

_File = tuple[str, str]
"""URI, and the language that helps to find the encoding."""


class SubtitleFiles:
    """What is wrong with the subtitles of jobs.

    Args:
        jobs: the jobs; those without subtitles are skipped.
        contents: hash by URI, or why the file cannot be read.
        hashes: what returned these hashes.
        policy: which inputs may be read.
        raise_if_cancelled: called often; stops the work by raising.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        contents: Mapping[str, str | TroupeError],
        hashes: ContentHashes,
        policy: InputPolicy,
        raise_if_cancelled: Callable[[], None],
    ) -> None:
        named = [job for job in jobs if job.subtitles]
        self._errors: dict[_File, TroupeError] = {}
        self._undrawable: dict[_File, InputError] = {}
        drawn: dict[_File, Subtitles] = {}
        burned = {_file(job) for job in named if job.subtitles_burn}

        def read(file: _File) -> None:
            uri, language = file
            if not isinstance(content := contents[uri], str):
                return
            try:
                with hashes.reading(uri, content, policy) as path:
                    subtitles, _ = read_subtitles(path, language, name=name(uri))
            except Cancelled:
                raise
            except Exception as error:  # whatever is wrong with a file concerns only the jobs that name it
                self._errors[file] = input_error(uri, error)
            else:
                if file in burned:
                    drawn[file] = subtitles

        map_stoppable(read, sorted({_file(job) for job in named}), raise_if_cancelled)
        # ffmpeg takes a moment: first all texts at once, and one by one only if that fails.
        if drawn and burn_problem(Subtitles(tuple(cue for subtitles in drawn.values() for cue in subtitles.cues))):
            for file, subtitles in drawn.items():
                raise_if_cancelled()
                if problem := burn_problem(subtitles):
                    self._undrawable[file] = InputError(f"subtitles {name(file[0])} cannot be drawn: {problem}")

    def problem(self, job: Job) -> TroupeError | None:
        """Return why the subtitles of a job cannot be used."""
        file = _file(job)
        return self._errors.get(file) or (self._undrawable.get(file) if job.subtitles_burn else None)


def _file(job: Job) -> _File:
    return job.subtitles, job.subtitles_language or job.language

"""The subtitles of a film: moved to its times, and written as a track of the video and as files beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from catalogs.requests.access.content_hashes import Input
from catalogs.store.uris import name
from tasks.media import Timing
from tasks.media.subtitles import (
    Subtitles,
    burn_problem,
    cut_subtitles,
    read_subtitles,
    write_srt,
    write_vtt,
)
from tasks.steps.context import WorkerContext
from troupe import Job
from troupe.errors import InputError

__all__ = ["SIDECARS", "drawn_subtitles", "film_subtitles", "write_sidecars"]

SIDECARS = {"vtt": write_vtt, "srt": write_srt}
"""Writers of the files beside a video, by suffix."""


def film_subtitles(context: WorkerContext, source: Input, job: Job, seconds: float) -> tuple[Subtitles, list[str]]:
    """Return the subtitles that a job names, with the times of its video, and notes for the user.

    Args:
        source: the file that the job names.
        seconds: length of the video.

    Raises:
        MissingInput, InputError: the file cannot be read, or is broken.
    """
    path = context.input(source)
    subtitles, notes = read_subtitles(path, job.subtitles_language or job.language, name=name(source.uri))
    subtitles, cut = cut_subtitles(subtitles, job.start, seconds)
    return subtitles, [*notes, *cut]


def drawn_subtitles(
    context: WorkerContext, source: Input | None, job: Job, timing: Timing
) -> tuple[Subtitles | None, list[str]]:
    """Return the subtitles to draw into a picture, if any, and notes for the user.

    Raises:
        MissingInput, InputError: as `film_subtitles`, or they cannot be drawn on this machine.
    """
    if source is None:
        return None, []
    subtitles, notes = film_subtitles(context, source, job, timing.seconds)
    if problem := burn_problem(subtitles):
        raise InputError(f"subtitles {name(source.uri)} cannot be drawn: {problem}")
    lost = ["subtitles: positions and styles of WebVTT were not drawn"] if subtitles.styled else []
    return subtitles, [*notes, *lost, "subtitles: drawn into the picture; there is no track and no file of them"]


def write_sidecars(subtitles: Subtitles, folder: Path) -> Iterable[Path]:
    """Write `subtitles.vtt` and `subtitles.srt`; return their paths."""
    for suffix, write in SIDECARS.items():
        path = folder / f"subtitles.{suffix}"
        write(subtitles, path)
        yield path

"""Where clips end, for jobs whose `start` or `end` seems to be later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.store.uris import name
from tasks.run.inputs.clip_lengths import ClipLengths, Length
from troupe import Job
from troupe.errors import InputError

__all__ = ["ClipEnds"]


class ClipEnds:
    """Ends of clips by the hash of their content, where they are certain; only read for jobs that may be beyond them.

    Args:
        jobs: the jobs.
        contents: hashes of the clips' content by URI; clips that cannot be read are left out.
        estimates: lengths by content, as headers have them.
        lengths: reads the times of frames.
        hashes: what returned these hashes.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        contents: Mapping[str, str],
        estimates: Mapping[str, Length],
        lengths: ClipLengths,
        hashes: ContentHashes,
    ) -> None:
        self._contents = contents
        # By how much a time may be later than the end: one frame.
        self._frame = {content: 1 / rate for content, (_, rate) in estimates.items()}
        seem: dict[str, str] = {}
        for job in jobs:
            content = contents.get(job.driving, "")
            if content in estimates:
                frames, rate = estimates[content]
                if max(job.start, job.end or 0.0) > frames / rate + self._frame[content]:
                    seem[content] = job.driving
        times = lengths.last_times(seem, hashes)
        self._ends = {content: time + self._frame[content] for content, time in times.items()}

    def problem(self, job: Job) -> InputError | None:
        """Return why there are no frames between the `start` and the `end` of a job."""
        if not (end := self._end_before(job, job.start)):
            return None
        until = "its end" if job.end is None else f"{job.end:g} s"
        return InputError(
            f"{name(job.driving)} has no frame from {job.start:g} s until {until}: it lasts {end:.3f} s; "
            "change start and end"
        )

    def note(self, job: Job) -> str:
        """Return a note that the clip of a job ends before its `end`; empty if it does not."""
        end = self._end_before(job, job.end or 0.0)
        return f"end: the clip ends at {end:.2f} s, before {job.end:g} s" if end else ""

    def _end_before(self, job: Job, seconds: float) -> float | None:
        """Return the end of a job's clip if that is earlier than a time, by more than a frame."""
        content = self._contents.get(job.driving, "")
        end = self._ends.get(content)
        return end if end is not None and seconds > end + self._frame[content] else None

"""The summary of a run that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from troupe.wording import counted

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """How a run ended.

    Attributes:
        counts: number of jobs by status.
        pictures: number of pictures, videos without sound, rendered in this run; films may share one.
        films: number of films made in this run: pictures with their sound.
        flagged: number of jobs that are flagged.
        frames: number of frames rendered in this run.
        evaluations: number of frames that went through the denoiser in this run, once per branch and step.
        files_put: number of files put into caches and renders in this run.
        seconds: seconds from request to manifest.
        manifest: URI of the manifest.
        report: URI of the report page.
        uncovered: number of jobs that their permission does not cover; `notes` in their rows say why.
    """

    run_id: str
    counts: Mapping[str, int]
    frames: int
    evaluations: int
    files_put: int
    seconds: float
    manifest: str
    report: str = ""
    pictures: int = 0
    films: int = 0
    flagged: int = 0
    uncovered: int = 0

    def jobs_line(self) -> str:
        """Return the number of jobs by status: `1 done, 1 failed`."""
        order = ("done", "reused", "failed", "cancelled")
        jobs = ", ".join(f"{self.counts[status]} {status}" for status in order if self.counts.get(status)) or "no jobs"
        found = {"flagged": self.flagged, "not covered by a permission (see notes)": self.uncovered}
        remarks = [(count, what) for what, count in found.items() if count]
        return ", ".join([jobs, *(f"{count} of them {what}" for count, what in remarks)])

    def line(self) -> str:
        """Return the summary in one line."""
        return (
            f"run {self.run_id}: {self.jobs_line()}; {counted(self.pictures, 'picture')} and "
            f"{counted(self.films, 'film')} made, {counted(self.frames, 'frame')} rendered, "
            f"{counted(self.evaluations, 'denoiser evaluation')}, {counted(self.files_put, 'file')} stored, "
            f"{self.seconds:.1f} s"
        )

    def markdown(self) -> str:
        """Return the summary as a Markdown page."""
        rows = "\n".join(f"| {status} | {count} |" for status, count in sorted(self.counts.items()))
        files = f"`{self.report}`\n\n`{self.manifest}`\n"
        return f"# Run {self.run_id}\n\n| status | jobs |\n| --- | --- |\n{rows}\n\n{self.line()}\n\n{files}"

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain values by name."""
        return asdict(self)

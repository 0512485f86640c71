"""The listener of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from troupe.progress import Progress

__all__ = ["Listener"]


class Listener(Protocol):
    """Receives the progress of a run, from several threads."""

    def note(self, text: str) -> None:
        """Receive a line about what the run does."""

    def started(self, jobs: int) -> None:
        """Receive the number of jobs."""

    def working(self, progress: Progress) -> None:
        """Receive how far a job is, or something that jobs need; at most one per second and worker."""

    def finished(self, row: Mapping[str, Any]) -> None:
        """Receive the manifest's row of a job that has ended."""

"""`troupe` with several pictures at once per render worker, as on a GPU, where a CPU would have one.

`python -m tests.faults.harness.at_once 3 run ...` is `troupe run ...` with three.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from tasks.pool import Role
from tasks.run import run
from tasks.run.worker_roles import RENDER, worker_roles

__all__ = ["count_at_once", "rendering", "rendering_at_once"]


@contextmanager
def rendering_at_once(pictures: int) -> Iterator[None]:
    """Let the render workers of this process's runs render this number of pictures at once in the `with` block."""

    def roles(*args: Any, **options: Any) -> list[Role]:
        found = worker_roles(*args, **options)
        return [replace(role, concurrency=pictures) if role.name == RENDER else role for role in found]

    with mock.patch.object(run, "worker_roles", roles):
        yield


def rendering(scratch: Path, before: Container[Path] = ()) -> Counter[Path]:
    """Return how many pictures are between the start of their encoders and the end of their videos, by run.

    Args:
        scratch: folder for temporary files of the runs.
        before: folders in it that do not count, as those of killed runs.

    Returns:
        numbers by the run's folder in it.
    """
    runs = (folder for folder in scratch.glob("troupe-*") if folder not in before)
    return Counter({folder: len({video.parent for video in folder.glob("work-*/.encoding-*")}) for folder in runs})


@contextmanager
def count_at_once(scratch: Path) -> Iterator[Counter[Path]]:
    """Yield the most pictures that each run has rendered at once, counted until the `with` block ends.

    Args:
        scratch: folder for temporary files; this process puts its own there meanwhile.
    """
    most, before, ended = Counter[Path](), {*scratch.iterdir()}, threading.Event()

    def count() -> None:
        nonlocal most
        while not ended.wait(0.02):
            most |= rendering(scratch, before)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        with mock.patch.object(tempfile, "tempdir", str(scratch)):
            yield most
    finally:
        ended.set()
        thread.join()


if __name__ == "__main__":
    from flows.cli import main

    with rendering_at_once(int(sys.argv.pop(1))):
        main()

"""Workers that run out of memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tasks.steps import motion, render
from tasks.steps.context import WorkerConfig
from tasks.steps.specs import Done
from tasks.steps.workers import RenderWorker
from troupe.errors import OutOfMemory


class Animator:
    """Can shrink twice."""

    def __init__(self) -> None:
        self.left = 2

    def shrink(self) -> bool:
        """Return whether it could."""
        self.left -= 1
        return self.left >= 0


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RenderWorker:
    animator = Animator()
    monkeypatch.setattr("models.animator.load", lambda *_, **__: animator)
    monkeypatch.setattr("tasks.steps.context.local_weights", Path)
    return RenderWorker(WorkerConfig(str(tmp_path), "w", "", "cpu", "auto", tmp_path / "scratch"))


def test_a_step_is_repeated_with_less_memory_as_long_as_that_may_help(
    worker: RenderWorker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def encode(*_: Any) -> Done:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise OutOfMemory("no memory left")
        return Done(reused=False)

    monkeypatch.setattr(motion, "encode_clip", encode)
    with caplog.at_level(logging.WARNING):
        assert worker.motion(None) == Done(reused=False)  # type: ignore[arg-type]
    assert calls == 3
    assert caplog.text.count("smaller share") == 2
    calls = -9
    with pytest.raises(OutOfMemory):
        worker.motion(None)  # type: ignore[arg-type]
    assert calls == -8, "it cannot shrink any more"


def test_a_stream_goes_on_with_less_memory_where_it_was(worker: RenderWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = 0

    def frames(*_: Any) -> Iterator[int]:
        nonlocal starts
        starts += 1
        for number in range(5):
            if number == starts + 1 and starts < 3:
                raise OutOfMemory("no memory left")
            yield number

    monkeypatch.setattr(render, "stream_frames", frames)
    monkeypatch.setattr(worker, "_encoded", lambda _: (None, ()))
    assert list(worker.stream(None)) == [0, 1, 2, 3, 4]  # type: ignore[arg-type, comparison-overlap]
    assert starts == 3

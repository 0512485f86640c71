"""Files that take memory or time when they are opened end a child process, not this one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import psutil
import pytest

from tasks.media import read_length
from tasks.media.sandbox import Sandbox
from tests.clips import make_clip, numbered, write_bomb
from troupe.errors import Cancelled, MissingInput, TooLarge, TroupeError, UnreadableMedia


def loop(path: Path) -> int:
    """Compute without end."""
    while True:
        path.exists()


def die(path: Path) -> int:
    """End the process as a fault in a library does."""
    import os

    os.kill(os.getpid(), 11)
    return len(path.name)


def process_id(_path: Path) -> int:
    import os

    return os.getpid()


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as found:
        yield found


def test_one_process_reads_many_files(sandbox: Sandbox, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", numbered(10), Fraction(25))
    assert sandbox(process_id, clip) == sandbox(process_id, tmp_path) != psutil.Process().pid
    assert sandbox(read_length, clip) == [10, 25.0]
    with pytest.raises(MissingInput, match=r"nowhere.mp4 cannot be read"):
        sandbox(read_length, tmp_path / "nowhere.mp4")


def test_a_clip_that_claims_many_samples_is_too_large(sandbox: Sandbox, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", numbered(10), Fraction(25))
    assert write_bomb(clip, tmp_path / "bomb.mp4").stat().st_size < 100_000
    with pytest.raises(TooLarge, match=r"bomb.mp4 takes too many bytes of memory; the limit is 300000000"):
        sandbox(read_length, tmp_path / "bomb.mp4")
    assert sandbox(read_length, clip) == [10, 25.0]


def test_a_file_that_takes_time_or_ends_the_process_concerns_itself_only(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPE_MAX_HEADER_SECONDS", "1")
    with pytest.raises(TooLarge, match=r"too many seconds; the limit is 1.*TROUPE_MAX_HEADER_SECONDS"):
        sandbox(loop, tmp_path / "clip.mp4")
    with pytest.raises(UnreadableMedia, match=r"ended the process .*-11"):
        sandbox(die, tmp_path / "clip.mp4")
    assert sandbox(process_id, tmp_path) > 0


def test_a_stop_ends_a_call_that_is_awaited(tmp_path: Path) -> None:
    stop = threading.Event()

    def raise_if_cancelled() -> None:
        if stop.is_set():
            raise Cancelled("stopped")

    with Sandbox(raise_if_cancelled) as sandbox:
        child = sandbox(process_id, tmp_path)
        threading.Timer(0.2, stop.set).start()
        started = time.monotonic()
        with pytest.raises(Cancelled):
            sandbox(loop, tmp_path)
    assert time.monotonic() - started < 5
    assert not psutil.pid_exists(child)


def test_a_process_that_cannot_start_is_not_the_files_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with Sandbox() as sandbox, pytest.raises(TroupeError, match="cannot start") as caught:
        sandbox(process_id, tmp_path)
    assert type(caught.value) is TroupeError

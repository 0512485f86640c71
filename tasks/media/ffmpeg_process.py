"""One ffmpeg child process: found, started, fed, read, watched and ended."""

from __future__ import annotations

import functools
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Any, Self

import ffmpeg  # type: ignore[import-untyped]
import imageio_ffmpeg

from troupe.errors import FfmpegError
from troupe.terminal import without_stdin

__all__ = ["SCALING", "STALL_SECONDS", "THREADS", "FfmpegProcess", "ffmpeg_binary"]

STALL_SECONDS = 60.0
"""An ffmpeg that neither gives nor takes a byte for this long is taken for stuck."""
THREADS = 2
"""Of a decoder and of an encoder: many run beside each other, and H.264's bytes depend on the number."""
SCALING = "bicubic+accurate_rnd+full_chroma_int"
"""Without the last two, swscale's YUV to RGB is off by a level or more, always in the same direction."""
MIN_LIBAVUTIL = (57, 28)
"""ffmpeg 5.1, the first with -fps_mode. libavutil's number, since builds from git have no release number."""
NEEDED = ("libx264", "libzimg")
"""Parts of ffmpeg that are not in every build: H.264 is written with one, HDR is read with the other."""
_FILTERS = ["-filter_threads", "1", "-filter_complex_threads", "1"]
# How to report; time stamps as they are in the file; a damaged frame, or many, is no reason to give up the others.
_ALWAYS = ["-hide_banner", "-nostdin", "-loglevel", "error", "-copyts", "-max_error_rate", "1", *_FILTERS]
_TAIL_BYTES = 4096
_PIPE_BYTES = 1 << 20


@functools.cache
def ffmpeg_binary() -> str:
    """The ffmpeg to run: the system's if it can do the work, else the one that imageio-ffmpeg brings.

    Raises:
        FfmpegError: neither is there and usable.
    """
    reasons = []
    system = shutil.which("ffmpeg")
    if system is not None:
        lacking = _lacking(system)
        if not lacking:
            return system
        reasons.append(f"{system} {lacking}")
    try:
        with without_stdin():  # it runs what it finds
            packaged = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        reasons.append("imageio-ffmpeg has no binary for this platform")
    else:
        lacking = _lacking(packaged)
        if not lacking:
            return packaged
        reasons.append(f"{packaged} {lacking}")
    raise FfmpegError(
        f"no usable ffmpeg: {'; '.join(reasons)}. Install ffmpeg 5.1 or newer, with {' and '.join(NEEDED)}, on PATH"
    )


def _lacking(binary: str) -> str:
    """Why this binary will not do; empty when it will."""
    try:
        ran = subprocess.run(
            [binary, "-version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=STALL_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return "does not run"
    text = ran.stdout.decode(errors="replace")
    version = re.search(r"libavutil\s+(\d+)\.\s*(\d+)", text)
    if version is None or (int(version[1]), int(version[2])) < MIN_LIBAVUTIL:
        return "is older than 5.1"
    lacking = [name for name in NEEDED if f"--enable-{name}" not in text]
    return f"was built without {' and '.join(lacking)}" if lacking else ""


class FfmpegProcess:
    """A running ffmpeg, as a context manager that leaves none behind.

    Whenever troupe waits for it, its standard error is read off too (the end of it kept), so that no pipe ever
    fills up unnoticed; and it waits `STALL_SECONDS` at most, so a stuck ffmpeg is an error, not a hang. While
    troupe is busy elsewhere ffmpeg just blocks on its pipe, which is what keeps memory flat.

    Args:
        output: what to do, as composed with ffmpeg-python.
        feed: whether `write` will be used.

    Example:
        >>> with Process(ffmpeg.output(ffmpeg.input("file:/clip.mp4"), "pipe:1", format="framecrc")) as process:
        ...     lines = list(process.lines())
        ...     code = process.finish()
    """

    def __init__(self, output: Any, *, feed: bool = False) -> None:
        self._child = subprocess.Popen(
            [ffmpeg_binary(), *_ALWAYS, *ffmpeg.get_args(output)],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # Ctrl-C is for troupe, which then ends its children in order.
            start_new_session=True,
        )
        self._tail = bytearray()
        self._stderr_ended = False
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                _widen(pipe)
        if self._child.stdin is not None:
            os.set_blocking(self._child.stdin.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it now; nothing happens where it has ended."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def complaint(self) -> str:
        """The last that ffmpeg said, on one line, without the addresses that differ between runs."""
        text = re.sub(r" @ 0x[0-9a-f]+", "", self._tail.decode(errors="replace"))
        return " | ".join(line.strip() for line in text.splitlines()[-3:] if line.strip())[-500:]

    def read_into(self, buffer: memoryview) -> bool:
        """Fill `buffer` from standard output; False if that ended before.

        Raises:
            FfmpegError: nothing came for too long.
        """
        stdout = _open(self._child.stdout)
        filled = 0
        while filled < len(buffer):
            self._wait(stdout, select.POLLIN)
            count = os.readv(stdout, [buffer[filled:]])
            if count == 0:
                self.finish()
                return False
            filled += count
        return True

    def lines(self) -> Iterator[str]:
        """Standard output line by line, as text.

        Raises:
            FfmpegError: nothing came for too long.
        """
        stdout = _open(self._child.stdout)
        rest = b""
        while True:
            self._wait(stdout, select.POLLIN)
            chunk = os.read(stdout, 1 << 16)
            if not chunk:
                break
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    def write(self, data: memoryview) -> None:
        """Give all of `data` to standard input.

        Raises:
            FfmpegError: ffmpeg ended, or took nothing for too long.
        """
        stdin = _open(self._child.stdin)
        given = 0
        while given < len(data):
            self._wait(stdin, select.POLLOUT)
            try:
                given += os.write(stdin, data[given:])
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.finish()
                raise FfmpegError(f"ffmpeg stopped taking frames: {self.complaint or 'it gave no reason'}") from None

    def finish(self, limit: float | None = None) -> int:
        """Close standard input, discard what still comes, and wait for the end.

        Args:
            limit: seconds to wait at most; `STALL_SECONDS` if None.

        Returns:
            The exit code; negative when a signal ended it.

        Raises:
            FfmpegError: it did not end in time.
        """
        limit = STALL_SECONDS if limit is None else limit
        deadline = time.monotonic() + limit
        if self._child.stdin is not None:
            self._child.stdin.close()
        stdout, stderr = _open(self._child.stdout), _open(self._child.stderr)
        self._wait(stdout, select.POLLIN, limit)
        while os.read(stdout, 1 << 16):
            self._wait(stdout, select.POLLIN, deadline - time.monotonic())
        while not self._stderr_ended:
            self._wait(stderr, select.POLLIN, deadline - time.monotonic())
        try:
            return self._child.wait(max(deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            raise self._stuck() from None

    def _wait(self, pipe: int, event: int, limit: float | None = None) -> None:
        """Until `pipe` is ready or at its end, `STALL_SECONDS` at most; standard error is read off meanwhile."""
        stderr = _open(self._child.stderr)
        deadline = time.monotonic() + (STALL_SECONDS if limit is None else limit)
        while True:
            waiting = select.poll()
            waiting.register(pipe, event)
            if not self._stderr_ended:
                waiting.register(stderr, select.POLLIN)
            ready = {handle for handle, _ in waiting.poll(max(deadline - time.monotonic(), 0.0) * 1000)}
            if stderr in ready:
                said = os.read(stderr, 1 << 16)
                self._stderr_ended = not said
                self._tail = (self._tail + said)[-_TAIL_BYTES:]
            if pipe in ready:
                return
            if time.monotonic() >= deadline:
                raise self._stuck()

    def _stuck(self) -> FfmpegError:
        return FfmpegError(f"ffmpeg was stuck, neither going on nor ending. {self.complaint}".strip())


def _open(pipe: IO[bytes] | None) -> int:
    """The file descriptor of a pipe that this process was started with."""
    if pipe is None:
        raise ValueError("ffmpeg was started without this pipe")
    return pipe.fileno()


def _widen(pipe: IO[bytes]) -> None:
    """A frame then moves in a few pieces instead of a few dozen. A courtesy: systems limit or lack it."""
    try:
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (AttributeError, ImportError, OSError):
        pass

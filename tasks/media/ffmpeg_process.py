"""Find ffmpeg and run it as a child process."""

from __future__ import annotations

import functools
import os
import re
import resource
import select
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

import ffmpeg  # type: ignore[import-untyped]
import imageio_ffmpeg

from troupe.errors import FfmpegError
from troupe.process.terminal import without_stdin

__all__ = [
    "DECODER_BYTES",
    "FLUSH_SECONDS",
    "SCALING",
    "STALL_SECONDS",
    "THREADS",
    "FfmpegProcess",
    "expect_success",
    "ffmpeg_binary",
    "ffmpeg_environment",
]

FLUSH_SECONDS = 600.0
"""Seconds to wait for the frames that x264 still holds, about 50: they may be large and the machine slow."""
STALL_SECONDS = 60.0
"""Seconds without a byte read or written after which ffmpeg counts as stuck."""
DECODER_BYTES = 16 << 30
"""Bytes of address space of a decoder: those of two dozen frames of the largest clips in the widest format, twice."""
THREADS = 2
"""Number of threads per decoder and encoder: many run in parallel, and H.264's bytes depend on the number."""
SCALING = "bicubic+accurate_rnd+full_chroma_int"
"""Flags for swscale; without the last two, its YUV to RGB conversion is biased by a level or more."""
MIN_LIBAVUTIL = (57, 28)
"""Version of libavutil in ffmpeg 5.1, the first with -fps_mode; builds from git have no release number."""
REQUIRED_LIBRARIES = ("libx264", "libzimg")
"""Libraries that not every build of ffmpeg has: one writes H.264, the other reads HDR."""
_FILTERS = ["-filter_threads", "1", "-filter_complex_threads", "1"]
# Report errors only; keep the file's time stamps; do not give up after damaged frames.
_COMMON_OPTIONS = ["-hide_banner", "-nostdin", "-loglevel", "error", "-copyts", "-max_error_rate", "1", *_FILTERS]
_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
_PREFIXES = ("LC_", "LD_", "CUDA_", "NVIDIA_", "FONTCONFIG_")
"""Variables that ffmpeg needs to start, to find fonts, and to find GPUs. The store's credentials are not among them."""
_MAX_FILES = 256
_TAIL_BYTES = 4096
_LINE = 160
"""Characters of an error message that are kept."""
_PIPE_BYTES = 1 << 20


@functools.cache
def ffmpeg_binary() -> str:
    """Return the path of ffmpeg: the system's if it is usable, else the one from imageio-ffmpeg.

    Raises:
        FfmpegError: neither exists and is usable.
    """
    reasons = []
    system = shutil.which("ffmpeg")
    if system is not None:
        problem = _problem(system)
        if not problem:
            return system
        reasons.append(f"{system} {problem}")
    try:
        with without_stdin():  # it runs the binaries that it finds
            packaged = str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        reasons.append("imageio-ffmpeg has no binary for this platform")
    else:
        problem = _problem(packaged)
        if not problem:
            return packaged
        reasons.append(f"{packaged} {problem}")
    raise FfmpegError(
        f"no usable ffmpeg: {'; '.join(reasons)}. "
        f"Install ffmpeg 5.1 or newer, with {' and '.join(REQUIRED_LIBRARIES)}, on PATH"
    )


def ffmpeg_environment() -> dict[str, str]:
    """Return the variables that ffmpeg gets: it parses files of others."""
    return {name: text for name, text in os.environ.items() if name in _VARIABLES or name.startswith(_PREFIXES)}


def _problem(binary: str) -> str:
    """Return why a binary is not usable; empty if it is."""
    try:
        ran = subprocess.run(
            [binary, "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=STALL_SECONDS,
            check=True,
            env=ffmpeg_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return "does not run"
    text = ran.stdout.decode(errors="replace")
    version = re.search(r"libavutil\s+(\d+)\.\s*(\d+)", text)
    if version is None or (int(version[1]), int(version[2])) < MIN_LIBAVUTIL:
        return "is older than 5.1"
    missing = [name for name in REQUIRED_LIBRARIES if f"--enable-{name}" not in text]
    return f"was built without {' and '.join(missing)}" if missing else ""


class FfmpegProcess:
    """A running ffmpeg, as a context manager that kills it on exit.

    While waiting for ffmpeg, its standard error is read too and the end of it kept, so that no pipe fills up. A wait
    takes at most `STALL_SECONDS`, so that a stuck ffmpeg is an error and not a hang. Between waits ffmpeg blocks on
    its pipe, which bounds the memory.

    Args:
        output: the graph, built with ffmpeg-python.
        feed: whether to open standard input for `write`.
        repeated: options of the output that are given several times, which ffmpeg-python has no form for.
        processor_seconds: seconds of all processors after which the kernel ends it; None for work without a limit.
        memory: bytes of address space that it may take; None where it may use a GPU, which maps what the machine has.

    Example:
        >>> with FfmpegProcess(ffmpeg.output(ffmpeg.input("file:/clip.mp4"), "pipe:1", format="framecrc")) as process:
        ...     lines = list(process.lines())
        ...     code = process.finish()
    """

    def __init__(
        self,
        output: Any,
        *,
        feed: bool = False,
        repeated: Iterable[tuple[str, str]] = (),
        processor_seconds: int | None = None,
        memory: int | None = None,
    ) -> None:
        *arguments, target = ffmpeg.get_args(output)
        for name, value in repeated:
            arguments += [f"-{name}", value]
        self._child = subprocess.Popen(
            [ffmpeg_binary(), *_COMMON_OPTIONS, *arguments, target],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # Ctrl-C must reach troupe only, which then stops its child processes in order.
            start_new_session=True,
            env=ffmpeg_environment(),
        )
        with suppress(OSError):  # it has ended already
            resource.prlimit(self._child.pid, resource.RLIMIT_CORE, (0, 0))
            resource.prlimit(self._child.pid, resource.RLIMIT_NOFILE, (_MAX_FILES, _MAX_FILES))
            for kind, most in ((resource.RLIMIT_CPU, processor_seconds), (resource.RLIMIT_AS, memory)):
                hard = resource.getrlimit(kind)[1]
                if most is not None and (hard == resource.RLIM_INFINITY or most < hard):
                    resource.prlimit(self._child.pid, kind, (most, most))
        self._head, self._tail = bytearray(), bytearray()
        self._stderr_ended = False
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                _enlarge(pipe)
        if self._child.stdin is not None:
            os.set_blocking(self._child.stdin.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill ffmpeg if it is still running."""
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout, self._child.stderr):
            if pipe is not None:
                pipe.close()

    @property
    def errors(self) -> str:
        """First error message of ffmpeg, which names the cause, and the last two, on one line.

        Without addresses, which differ between runs.
        """
        head, tail = (_lines(text) for text in (self._head, self._tail))
        shown = [line[:_LINE] for line in head[:1]] + [line[-_LINE:] for line in tail[-2:]]
        return " | ".join(dict.fromkeys(shown))

    def read_into(self, buffer: memoryview) -> bool:
        """Fill `buffer` from standard output; return False if the output ended before.

        Raises:
            FfmpegError: ffmpeg stalled.
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
        """Yield the lines of standard output.

        Raises:
            FfmpegError: ffmpeg stalled.
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
        """Write all of `data` to standard input.

        Raises:
            FfmpegError: ffmpeg ended, or stalled.
        """
        stdin = _open(self._child.stdin)
        written = 0
        while written < len(data):
            self._wait(stdin, select.POLLOUT)
            try:
                written += os.write(stdin, data[written:])
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.finish()
                raise FfmpegError(f"ffmpeg stopped reading frames: {self.errors or 'no error message'}") from None

    def finish(self, timeout: float | None = None) -> int:
        """Close standard input, discard the remaining output, and wait for the exit.

        Args:
            timeout: seconds before ffmpeg counts as stuck; `STALL_SECONDS` if None.

        Returns:
            The exit code; negative if a signal ended ffmpeg.

        Raises:
            FfmpegError: ffmpeg did not exit in time.
        """
        timeout = STALL_SECONDS if timeout is None else timeout
        deadline = time.monotonic() + timeout
        if self._child.stdin is not None:
            self._child.stdin.close()
        stdout, stderr = _open(self._child.stdout), _open(self._child.stderr)
        self._wait(stdout, select.POLLIN, timeout)
        while os.read(stdout, 1 << 16):
            self._wait(stdout, select.POLLIN, deadline - time.monotonic())
        while not self._stderr_ended:
            self._wait(stderr, select.POLLIN, deadline - time.monotonic())
        try:
            return self._child.wait(max(deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            raise self._stuck() from None

    def _wait(self, pipe: int, event: int, timeout: float | None = None) -> None:
        """Wait until `pipe` is ready or closed, at most `timeout` seconds, and read standard error meanwhile."""
        stderr = _open(self._child.stderr)
        deadline = time.monotonic() + (STALL_SECONDS if timeout is None else timeout)
        while True:
            poll = select.poll()
            poll.register(pipe, event)
            if not self._stderr_ended:
                poll.register(stderr, select.POLLIN)
            ready = {handle for handle, _ in poll.poll(max(deadline - time.monotonic(), 0.0) * 1000)}
            if stderr in ready:
                text = os.read(stderr, 1 << 16)
                self._stderr_ended = not text
                self._head += text[: max(_TAIL_BYTES - len(self._head), 0)]
                self._tail = (self._tail + text)[-_TAIL_BYTES:]
            if pipe in ready:
                return
            if time.monotonic() >= deadline:
                raise self._stuck()

    def _stuck(self) -> FfmpegError:
        return FfmpegError(f"ffmpeg was stuck: no input, output or exit in time. {self.errors}".strip())


def _lines(text: bytearray) -> list[str]:
    plain = re.sub(r" @ 0x[0-9a-f]+", "", text.decode(errors="replace"))
    return [line.strip() for line in plain.splitlines() if line.strip()]


def _open(pipe: IO[bytes] | None) -> int:
    """Return the file descriptor of a pipe."""
    if pipe is None:
        raise ValueError("ffmpeg was started without this pipe")
    return pipe.fileno()


def _enlarge(pipe: IO[bytes]) -> None:
    """Enlarge a pipe, so that a frame needs fewer reads. Optional: systems may limit or lack it."""
    try:
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except (AttributeError, ImportError, OSError):
        pass


def expect_success(process: FfmpegProcess, step: str, timeout: float) -> None:
    """Wait until ffmpeg ends.

    Raises:
        FfmpegError: it failed, or did not end within `timeout` seconds.
    """
    code = process.finish(timeout)
    if code != 0:
        raise FfmpegError(f"ffmpeg failed at {step} (exit code {code}): {process.errors or 'no error message'}")

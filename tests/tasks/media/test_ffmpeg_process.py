"""The child process, with stand-ins for ffmpeg that misbehave."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import ffmpeg  # type: ignore[import-untyped]
import imageio_ffmpeg
import numpy as np
import pytest

from tasks.media import VideoEncoder, decode, ffmpeg_binary, ffmpeg_process
from tasks.media.ffmpeg_process import DECODER_BYTES, FfmpegProcess
from tests.clips import make_clip, numbered
from troupe import Picture
from troupe.errors import FfmpegError, UnreadableMedia

NOTHING = ffmpeg.output(ffmpeg.input("pipe:0"), "pipe:1")
VERSION = "echo 'ffmpeg version x'; echo 'configuration: {options}'; echo 'libavutil      {util} / {util}'"


@pytest.fixture(autouse=True)
def _forget_binary() -> Iterator[None]:
    ffmpeg_binary.cache_clear()
    yield
    ffmpeg_binary.cache_clear()


def stand_in(folder: Path, script: str) -> Path:
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def use(monkeypatch: pytest.MonkeyPatch, binary: Path) -> None:
    monkeypatch.setattr(ffmpeg_process, "ffmpeg_binary", lambda: str(binary))


class TestBinary:
    def test_the_systems_own_is_preferred(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        binary = stand_in(
            tmp_path, VERSION.format(options="--enable-gpl --enable-libx264 --enable-libzimg", util="57. 28.100")
        )
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        assert ffmpeg_binary() == str(binary)

    @pytest.mark.parametrize(
        "script",
        [
            VERSION.format(options="--enable-libx264 --enable-libzimg", util="56. 70.100"),
            VERSION.format(options="--enable-libzimg", util="60. 1.100"),
            VERSION.format(options="--enable-libx264", util="60. 1.100"),
            "exit 1",
            "echo nonsense",
        ],
        ids=["old", "no x264", "no HDR", "broken", "strange"],
    )
    def test_one_that_cannot_do_the_work_is_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
    ) -> None:
        stand_in(tmp_path, script)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        assert ffmpeg_binary() == imageio_ffmpeg.get_ffmpeg_exe()

    def test_none(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        old = stand_in(tmp_path, VERSION.format(options="--enable-libx264 --enable-libzimg", util="56. 70.100"))
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(old))
        with pytest.raises(FfmpegError, match=r"is older than 5\.1.*Install ffmpeg"):
            ffmpeg_binary()


class TestMisbehaviour:
    def test_much_error_output_does_not_block(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, stand_in(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; echo last >&2; echo done"))
        with FfmpegProcess(NOTHING) as running:
            assert list(running.lines()) == ["done"]
            assert running.finish() == 0
            assert running.errors.endswith("last")
            assert len(running.errors) <= 500

    def test_the_first_complaint_is_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        script = "echo cause >&2; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo consequence $i >&2; done"
        use(monkeypatch, stand_in(tmp_path, script))
        with FfmpegProcess(NOTHING) as running:
            running.finish()
            assert running.errors == "cause | consequence 1999 | consequence 2000"

    def test_silence_is_not_waited_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, stand_in(tmp_path, "echo stuck >&2; exec sleep 600"))
        monkeypatch.setattr(ffmpeg_process, "STALL_SECONDS", 0.2)
        for ask in (
            lambda running: list(running.lines()),
            lambda running: running.read_into(memoryview(bytearray(10))),
            lambda running: running.write(memoryview(bytes(1 << 24))),
            lambda running: running.finish(0.3),
        ):
            with FfmpegProcess(NOTHING, feed=True) as running, pytest.raises(FfmpegError, match="stuck"):
                ask(running)

    def test_ffmpeg_that_closes_its_pipes_but_runs_on(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, stand_in(tmp_path, "exec >&- 2>&-; exec sleep 600"))
        with FfmpegProcess(NOTHING) as running, pytest.raises(FfmpegError, match="no input, output or exit"):
            running.finish(0.3)

    def test_ffmpeg_that_stops_reading(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, stand_in(tmp_path, "echo 'no room' >&2; exit 3"))
        with FfmpegProcess(NOTHING, feed=True) as running, pytest.raises(FfmpegError, match="no room"):
            running.write(memoryview(bytes(1 << 24)))

    def test_an_end_in_the_middle_of_a_frame(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, stand_in(tmp_path, "printf abc; exit 1"))
        with FfmpegProcess(NOTHING) as running:
            assert not running.read_into(memoryview(bytearray(10)))

    def test_lines_across_reads(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, stand_in(tmp_path, "printf 'a\\nb'; sleep 0.1; printf 'c\\n\\nd'"))
        with FfmpegProcess(NOTHING) as running:
            assert list(running.lines()) == ["a", "bc", "", "d"]


class TestDecoderThatFails:
    def test_fewer_frames_than_counted(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(5))
        whole = list(decode(clip))
        raw = tmp_path / "raw"
        raw.write_bytes(b"".join(frame.tobytes() for frame in whole)[:-100])
        use(monkeypatch, stand_in(tmp_path, f"cat '{raw}'; echo 'out of luck' >&2; exit 1"))
        received: list[Picture] = []
        with pytest.raises(UnreadableMedia, match=r"clip\.mp4 stopped decoding at frame 4 of 5: out of luck"):
            received.extend(decode(clip))

    def test_stuck(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(5))
        next(decode(clip))
        use(monkeypatch, stand_in(tmp_path, "exec sleep 600"))
        monkeypatch.setattr(ffmpeg_process, "STALL_SECONDS", 0.3)
        with pytest.raises(UnreadableMedia, match=r"clip\.mp4, frame 0"):
            next(decode(clip))


class TestEncoderThatFails:
    def test_a_full_disk_or_the_like(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, stand_in(tmp_path, "cat >/dev/null; echo 'No space left on device' >&2; exit 1"))
        out = tmp_path / "out"
        out.mkdir()
        with (
            pytest.raises(FfmpegError, match=r"encoding the picture.*No space left on device"),
            VideoEncoder(out / "out.mp4", rate=Fraction(25), size=(16, 16)) as encoder,
        ):
            encoder.write(np.zeros((16, 16, 3), np.uint8))
        assert not list(out.iterdir())


def test_ffmpeg_gets_neither_credentials_nor_more_files_than_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = tmp_path / "ffmpeg"
    binary.write_text("#!/bin/sh\nenv\ncat\n")
    binary.chmod(0o755)
    monkeypatch.setattr(ffmpeg_process, "ffmpeg_binary", lambda: str(binary))
    for name in ("AWS_SECRET_ACCESS_KEY", "FFREPORT", "HF_TOKEN"):
        monkeypatch.setenv(name, "c0ffee")
    with FfmpegProcess(ffmpeg.output(ffmpeg.input("file:x"), "pipe:1"), feed=True) as process:
        assert resource.prlimit(process._child.pid, resource.RLIMIT_CORE) == (0, 0)
        assert resource.prlimit(process._child.pid, resource.RLIMIT_NOFILE) == (256, 256)
        assert process._child.stdin
        process._child.stdin.close()
        text = "\n".join(process.lines())
    assert "PATH=" in text
    assert "c0ffee" not in text


def test_limits_of_a_child() -> None:
    graph = ffmpeg.output(ffmpeg.input("pipe:0", format="s16le"), "pipe:1", format="null")
    with FfmpegProcess(graph, feed=True, processor_seconds=60, memory=DECODER_BYTES) as process:
        found = Path(f"/proc/{process._child.pid}/limits").read_text()
    assert re.search(r"Max cpu time +60 +60 ", found)
    assert re.search(rf"Max address space +{DECODER_BYTES} ", found)

"""Single renders from Python, with real networks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

import troupe
from flows.local import animate_locally
from tasks import media
from tasks.run.request import Request
from tests.flows.jobs import manifest_rows
from tests.tasks.api.conftest import FRAMES
from troupe import PortraitAnimator
from troupe.errors import NoFace, SettingsError, UnreadableMedia
from troupe.progress import Progress

RATE = Fraction(24000, 1001)
STOPPED = """
import sys, troupe
portrait, clip, weights, output = sys.argv[1:]
troupe.animate(portrait, clip, output, weights=weights, on_progress=lambda progress: print(progress, flush=True))
"""


@pytest.fixture(scope="module")
def animator(weights: Path) -> Iterator[PortraitAnimator]:
    with PortraitAnimator(weights) as animator:
        yield animator


def test_the_video_is_that_of_a_run(
    animator: PortraitAnimator, weights: Path, portrait: Path, clip: Path, tmp_path: Path
) -> None:
    request = Request(
        store=str(tmp_path / "store"),
        weights=str(weights),
        portraits=str(portrait.parent),
        drivings=str(portrait.parent),
        defaults={"preset": "sketch", "gaps": "cut"},
    )
    (row,) = manifest_rows(animate_locally(request)).values()
    (tmp_path / "ruby.mp4").write_text("replaced")
    animation = animator.animate(portrait, clip, tmp_path / "ruby.mp4", preset="sketch", gaps="cut")
    expected, found = (list(media.decode(path)) for path in (Path(row["full_uri"]), animation.path))
    assert len(found) == FRAMES
    assert all((a == b).all() for a, b in zip(expected, found, strict=True))
    info = media.probe(animation.path)
    assert (info.frames, info.rate, info.audio) == (FRAMES, RATE, True)
    assert (animation.frames, animation.fps, animation.audio) == (FRAMES, RATE, True)
    assert (animation.width, animation.height) == (row["width"], row["height"])
    assert media.AI_GENERATED.encode() in animation.path.read_bytes()
    crop = animator.animate(portrait, clip, tmp_path / "ruby.mp4", preset="sketch", output="crop")
    assert (crop.width, crop.height) == (64, 64)
    assert animation.quality["flicker"] == pytest.approx(row["quality_flicker"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ruby.mp4", "store"]


def test_arrays_give_the_frames_that_paths_give(animator: PortraitAnimator, portrait: Path, clip: Path) -> None:
    """Also frames that can be taken only once; and streams may take turns."""
    pixels = np.asarray(Image.open(portrait))
    reports: list[str] = []
    # Without a watermark, which depends on the content of the files.
    options: Any = {"preset": "sketch", "output": "crop", "watermark": "off"}
    one = animator.stream(portrait, clip, **options, on_progress=lambda p: reports.append(p.item))
    two = animator.stream(pixels, media.decode(clip), **options, fps=RATE)
    assert len(one) == len(two) == FRAMES
    assert one.fps == two.fps == RATE
    assert one.times == pytest.approx([index / float(RATE) for index in range(FRAMES)])
    for first, second in zip(one, two, strict=True):
        assert first.shape == (64, 64, 3)
        assert (first == second).all()
    assert set(reports) == {"ruby.png"}


def test_frames_come_out_before_all_are_decoded_and_nothing_is_left(
    weights: Path, portrait: Path, clip: Path, scratch: Path
) -> None:
    with troupe.stream(portrait, clip, weights=weights, preset="sketch") as frames:
        first = next(frames)
        assert first.shape == np.asarray(Image.open(portrait)).shape
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())
    with pytest.raises(StopIteration):
        next(frames)
    del frames
    unused = troupe.stream(portrait, clip, weights=weights)
    assert list(scratch.iterdir())
    del unused
    assert not list(scratch.iterdir()), "a stream that nobody iterates over is closed when it is deleted"


def test_an_interrupted_render_leaves_nothing(weights: Path, portrait: Path, clip: Path, scratch: Path) -> None:
    output = scratch.with_name("out.mp4")
    output.write_text("earlier")

    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt(progress.stage)

    with pytest.raises(KeyboardInterrupt, match="tracking"):
        troupe.animate(portrait, clip, output, weights=weights, on_progress=interrupt)
    assert output.read_text() == "earlier"
    assert not list(scratch.iterdir())
    assert not [child for child in psutil.Process().children() if "ffmpeg" in child.name()]


def test_what_cannot_be_animated(animator: PortraitAnimator, portrait: Path, clip: Path, tmp_path: Path) -> None:
    (damaged := tmp_path / "hello.png").write_text("not a clip")
    grey = np.full((96, 96, 3), 128, np.uint8)
    with pytest.raises(NoFace, match="no face found in the portrait's array"):
        animator.animate(grey, clip, tmp_path / "out.mp4")
    with pytest.raises(UnreadableMedia):
        animator.animate(clip, clip, tmp_path / "out.mp4")
    with pytest.raises(UnreadableMedia, match=r"hello\.png"):
        animator.stream(portrait, damaged)
    with pytest.raises(NoFace, match="the driving frames"):
        animator.animate(portrait, [grey] * 3, tmp_path / "out.mp4")
    with pytest.raises(SettingsError, match="no frames"):
        animator.stream(portrait, [])
    with pytest.raises(SettingsError, match=r"frame 1 of the driving clip is \(8, 8, 3\), the first \(96, 96, 3\)"):
        animator.stream(portrait, [grey, grey[:8, :8]])
    assert list(tmp_path.iterdir()) == [damaged]


def test_files_of_the_system_do_not_pile_up(animator: PortraitAnimator, portrait: Path, clip: Path) -> None:
    def use() -> int:
        for _ in animator.stream(portrait, clip, preset="sketch"):
            pass
        return len(list(Path("/proc/self/fd").iterdir()))

    assert use() == use()


@pytest.mark.long
def test_ctrl_c_ends_a_render_within_seconds(weights: Path, portrait: Path, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    arguments = [str(path) for path in (portrait, clip, weights, tmp_path / "out.mp4")]
    environment: dict[str, Any] = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdout is not None
        assert next(line for line in process.stdout if "denoising" in line)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    assert not list((tmp_path / "scratch").iterdir())

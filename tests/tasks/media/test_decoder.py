"""Decode clips: cuts, geometry and colour, processes, and verification of written files."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.media import decode, probe, timing_of, verify
from tests.clips import (
    HEIGHT,
    WIDTH,
    beep,
    children,
    colour_patches,
    make,
    make_clip,
    numbered,
    numbers,
)
from troupe.errors import FfmpegError, InputError

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


class TestCuts:
    @pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0.0, None, range(60)),
            (0.0, 1.001, range(30)),
            (1.001, None, range(30, 60)),
            (1.001, 1.001 + 1001 / 30000, range(30, 31)),
            (0.05, 0.11, range(2, 4)),
            (1.5, 99.0, range(45, 60)),
        ],
    )
    def test_start_and_end_are_exact(
        self, tmp_path: Path, suffix: str, start: float, end: float | None, expected: range
    ) -> None:
        clip = make_clip(tmp_path / f"clip.{suffix}", numbered(60), NTSC)
        assert numbers(decode(clip, start, end)) == list(expected)
        assert len(timing_of(clip, start, end).times) == len(expected)

    @pytest.mark.parametrize(
        ("start", "end"), [(3.0, None), (1.0, 1.0), (1.5, 0.5), (-1.0, None), (float("nan"), None)]
    )
    def test_a_cut_without_frames_is_refused(self, tmp_path: Path, start: float, end: float | None) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(20))
        with pytest.raises(InputError, match="has no frame from"):
            list(decode(clip, start, end))
        with pytest.raises(InputError, match="change start and end"):
            timing_of(clip, start, end)

    def test_a_stream_that_changes_its_size_midway(self, tmp_path: Path) -> None:
        parts = [
            make_clip(tmp_path / "1.ts", numbered(10)),
            make_clip(tmp_path / "2.ts", numbered(30, 128, 96), Fraction(25), "-output_ts_offset", "0.4"),
        ]
        clip = tmp_path / "both.ts"
        clip.write_bytes(b"".join(part.read_bytes() for part in parts))
        frames = list(decode(clip, 0.2, 1.0))
        assert {frame.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
        assert len(frames) == len(timing_of(clip, 0.2, 1.0).times) == 20
        assert numbers(frames)[:5] == [5, 6, 7, 8, 9]


class TestGeometryAndColour:
    @pytest.mark.parametrize("turn", [90, 180, 270])
    def test_rotation_is_honoured(self, tmp_path: Path, turn: int) -> None:
        picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        picture[: HEIGHT // 2, : WIDTH // 2] = 255
        flat = make_clip(tmp_path / "flat.mp4", [picture] * 5)
        clip = make(tmp_path / "turned.mp4", "-display_rotation", str(turn), "-i", str(flat), "-c", "copy")
        expected = np.rot90(picture, turn // 90)
        info = probe(clip)
        assert (info.height, info.width) == expected.shape[:2]
        assert np.abs(next(decode(clip)).astype(int) - expected).mean() < 6

    @pytest.mark.parametrize(("aspect", "size"), [("4/3", (85, 48)), ("3/4", (64, 64))])
    def test_pixels_become_square(self, tmp_path: Path, aspect: str, size: tuple[int, int]) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(3), Fraction(25), "-vf", f"setsar={aspect}")
        info = probe(clip)
        assert (info.width, info.height) == size
        assert next(decode(clip)).shape == (size[1], size[0], 3)

    @pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
    @pytest.mark.parametrize("levels", ["tv", "pc"])
    def test_tagged_colours(self, tmp_path: Path, matrix: str, levels: str) -> None:
        patches = colour_patches()
        convert = f"scale=out_color_matrix={matrix}:out_range={levels}:flags=accurate_rnd,format=yuv444p"
        tags = ("-vf", f"{convert},setparams=colorspace={matrix}:range={levels}", "-colorspace", matrix)
        clip = make_clip(
            tmp_path / "clip.mp4", [patches] * 2, Fraction(25), *tags, "-color_range", levels, "-pix_fmt", "yuv444p"
        )
        assert np.abs(next(decode(clip)).astype(int) - patches).max() <= 5

    def test_untagged_colours_are_interpreted_as_players_do(self, tmp_path: Path) -> None:
        red = np.full((720, 1280, 3), (200, 30, 30), np.uint8)
        large = "scale=out_color_matrix=bt709:flags=accurate_rnd,format=yuv420p,setparams=colorspace=unknown"
        clip = make_clip(tmp_path / "large.mp4", [red] * 2, Fraction(25), "-vf", large, "-preset", "ultrafast")
        assert np.abs(next(decode(clip)).astype(int) - red).max() <= 4
        small = red[:HEIGHT, :WIDTH]
        clip = make_clip(tmp_path / "small.mp4", [small] * 2, Fraction(25), "-vf", large.replace("bt709", "bt601"))
        assert np.abs(next(decode(clip)).astype(int) - small).max() <= 4


class TestProcesses:
    def test_closing_early_leaves_no_process(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(200, 320, 240))
        before = children()
        frames = decode(clip)
        next(frames)
        assert len(children() - before) == 1
        frames.close()
        assert not children() - before

    def test_a_forgotten_iterator_leaves_no_process(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(200, 320, 240))
        before = children()
        frames = decode(clip)
        next(frames)
        del frames
        assert not children() - before

    def test_reading_to_the_end_leaves_no_process(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(10))
        before = children()
        assert len(list(decode(clip))) == 10
        assert not children() - before

    def test_callers_may_write_into_frames(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(3))
        first, second, _ = decode(clip)
        first[:] = 7
        assert second.flags.writeable
        assert numbers([second]) == [1]

    def test_several_at_once(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(30))
        results: list[list[int]] = []
        threads = [threading.Thread(target=lambda: results.append(numbers(decode(clip)))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert results == [list(range(30))] * 3


class TestVerify:
    def test_right(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(50), sound=beep(2, 1))
        info = verify(clip, frames=50, rate=Fraction(25), size=(64, 48), audio=True)
        assert info == probe(clip)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"frames": 49}, "50 frames instead of 49"),
            ({"rate": Fraction(24)}, "at 24"),
            ({"size": (48, 64)}, "64x48 pixels instead of 48x64"),
            ({"audio": False}, "unexpected sound"),
        ],
    )
    def test_wrong(self, tmp_path: Path, change: dict[str, object], message: str) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(50), sound=beep(2, 1))
        expected = {"frames": 50, "rate": Fraction(25), "size": (64, 48), "audio": True} | change
        with pytest.raises(FfmpegError, match=message):
            verify(clip, **expected)  # type: ignore[arg-type]

    def test_short_sound(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(50), sound=beep(1.5, 1))
        with pytest.raises(FfmpegError, match=r"1\.5\d+ s of sound for 2\.000 s of picture"):
            verify(clip, frames=50, rate=Fraction(25), size=(64, 48), audio=True)

    def test_no_video(self, tmp_path: Path) -> None:
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(b"")
        with pytest.raises(FfmpegError, match="does not decode"):
            verify(clip, frames=1, rate=Fraction(25), size=(64, 48), audio=False)

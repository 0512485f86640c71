"""Encode videos: rate, size, colour, timing and failures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.media import (
    LOSSLESS,
    PRORES,
    AudioSource,
    Timing,
    VideoEncoder,
    VideoFormat,
    VideoMetadata,
    decode,
    encode,
    h264,
    probe,
    timing_of,
)
from tasks.media.subtitles import Cue, Subtitles
from tests.clips import (
    HEIGHT,
    WIDTH,
    beep,
    children,
    colour_patches,
    counted_by_pyav,
    make_clip,
    numbered,
    numbers,
)
from troupe import Picture
from troupe.errors import FfmpegError

SIZE = (WIDTH, HEIGHT)
RATE = Fraction(25)
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


class TestPicture:
    @pytest.mark.parametrize(
        "rate",
        [FILM, RATE, NTSC, Fraction(50), Fraction(60000, 1001), Fraction(1000, 49), Fraction(2037, 100)],
        ids=str,
    )
    def test_rate_and_number_are_exact(self, tmp_path: Path, rate: Fraction) -> None:
        path = tmp_path / "out.mp4"
        info = encode(numbered(50), path, rate=rate, size=SIZE)
        assert info == probe(path)
        assert (info.frames, info.rate, info.width, info.height) == (50, rate, *SIZE)
        assert (info.codec, info.audio) == ("h264", False)
        assert numbers(decode(path)) == list(range(50))
        assert counted_by_pyav(path) == 50
        with av.open(str(path)) as container:
            assert container.streams.video[0].average_rate == rate
            assert not container.streams.audio

    def test_one_frame(self, tmp_path: Path) -> None:
        info = encode(numbered(1), tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert (info.frames, info.rate) == (1, RATE)

    @pytest.mark.parametrize("size", [(65, 49), (64, 49), (65, 48)])
    def test_odd_sides_repeat_their_edge(self, tmp_path: Path, size: tuple[int, int]) -> None:
        width, height = size
        frame = np.zeros((height, width, 3), np.uint8)
        frame[:, -8:] = 255
        frame[-8:] = 255
        path = tmp_path / "out.mp4"
        info = encode([frame] * 5, path, rate=RATE, size=size)
        assert (info.width, info.height) == (width + width % 2, height + height % 2)
        decoded = next(decode(path))
        assert np.abs(decoded[:height, :width].astype(int) - frame).mean() < 3
        assert decoded[:, -1].min() > 240
        assert decoded[-1].min() > 240

    def test_colours_come_back_and_are_tagged(self, tmp_path: Path) -> None:
        patches = colour_patches()
        path = tmp_path / "out.mp4"
        encode([patches] * 3, path, rate=RATE, size=SIZE)
        # The middle of each patch: 4:2:0 blurs the borders.
        inside = (slice(4, None, 16), slice(6, None, 16))
        assert np.abs(next(decode(path))[inside].astype(int) - patches[inside]).max() <= 4
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            assert context.pix_fmt == "yuv420p"
            # BT.709 thrice, limited range, as ITU-T H.273 numbers them.
            assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)

    def test_index_comes_first(self, tmp_path: Path) -> None:
        path = tmp_path / "out.mp4"
        encode(numbered(10), path, rate=RATE, size=SIZE)
        content = path.read_bytes()
        assert content.index(b"moov") < content.index(b"mdat")

    def test_same_frames_same_bytes(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(30), sound=beep(1.2, 0.5))
        for name in ("a.mp4", "b.mp4"):
            encode(
                decode(clip),
                tmp_path / name,
                rate=RATE,
                size=SIZE,
                audio=AudioSource(clip),
                metadata=VideoMetadata("r", "j"),
            )
        assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()

    @pytest.mark.parametrize("video_format", [None, LOSSLESS, PRORES], ids=["h264", "lossless", "prores"])
    def test_uneven_times_are_kept(self, tmp_path: Path, video_format: VideoFormat | None) -> None:
        times = np.cumsum([0, 40, 40, 120, 33, 33, 200, 10, 40]) / 1000
        timing = Timing(times, Fraction(15), 0.6, even=False)
        path = tmp_path / f"out{(video_format or h264()).suffix}"
        info = encode(numbered(9), path, rate=timing.rate, size=SIZE, timing=timing, video_format=video_format)
        written = timing_of(path)
        np.testing.assert_allclose(written.times, times, atol=1e-3)
        # Matroska does not say how long the last one is shown.
        assert info.seconds == pytest.approx(0.6, abs=0.1 if video_format is LOSSLESS else 2e-3)
        assert numbers(decode(path)) == list(range(9))

    @pytest.mark.parametrize("even", [True, False])
    def test_text_is_drawn_into_the_frames_of_its_time(self, tmp_path: Path, even: bool) -> None:
        times = np.array([0, 40, 80, 120, 160, 200]) / 1000 if even else np.array([0, 40, 80, 200, 233, 266]) / 1000
        timing = Timing(times, RATE if even else Fraction(18), 0.24 if even else 0.3, even=even)
        black: Picture = np.zeros((128, 128, 3), np.uint8)
        text = Subtitles((Cue(80, 240 if even else 235, "Hello"),))
        path = tmp_path / "out.mp4"
        encode([black] * 6, path, rate=timing.rate, size=(128, 128), timing=timing, subtitles=text)
        bright = [bool(frame.max() > 150) for frame in decode(path)]
        assert bright == [False, False, True, True, True, even]
        assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]

    def test_times_of_other_frames_are_refused(self, tmp_path: Path) -> None:
        timing = Timing(np.array([0, 0.1]), Fraction(10), 0.3, even=False)
        with pytest.raises(ValueError, match="3 frames were written, but timing has 2"):
            encode(numbered(3), tmp_path / "out.mp4", rate=Fraction(10), size=SIZE, timing=timing)
        assert not list(tmp_path.iterdir())

    def test_not_contiguous_frames(self, tmp_path: Path) -> None:
        turned = [np.rot90(frame, 2) for frame in numbered(5)]
        encode(turned, tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert numbers(np.rot90(frame, 2) for frame in decode(tmp_path / "out.mp4")) == list(range(5))

    def test_wrong_frames_are_refused(self, tmp_path: Path) -> None:
        with (
            pytest.raises(ValueError, match=r"\(48, 64, 3\) uint8"),
            VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE) as encoder,
        ):
            encoder.write(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
        assert not list(tmp_path.iterdir())


class TestFailure:
    def test_an_error_inside_leaves_nothing(self, tmp_path: Path) -> None:
        def broken() -> Iterator[Picture]:
            yield from numbered(20)
            raise RuntimeError("the network failed")

        before = children()
        with pytest.raises(RuntimeError, match="the network failed"):
            encode(broken(), tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert not list(tmp_path.iterdir())
        assert not children() - before

    def test_an_earlier_file_survives_an_error(self, tmp_path: Path) -> None:
        def interrupted() -> Iterator[Picture]:
            yield from numbered(3)
            raise KeyboardInterrupt

        path = tmp_path / "out.mp4"
        encode(numbered(5), path, rate=RATE, size=SIZE)
        content = path.read_bytes()
        with pytest.raises(KeyboardInterrupt):
            encode(interrupted(), path, rate=RATE, size=SIZE)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]

    def test_no_frames(self, tmp_path: Path) -> None:
        with pytest.raises(FfmpegError, match=r"out\.mp4"):
            encode([], tmp_path / "out.mp4", rate=RATE, size=SIZE)
        assert not list(tmp_path.iterdir())

    def test_ffmpeg_killed_midway(self, tmp_path: Path) -> None:
        before = children()

        def killing() -> Iterator[Picture]:
            yield from numbered(10, 320, 240)
            (ffmpeg,) = children() - before
            os.kill(ffmpeg, signal.SIGKILL)
            yield from numbered(100, 320, 240)

        with pytest.raises(FfmpegError):
            encode(killing(), tmp_path / "out.mp4", rate=RATE, size=(320, 240))
        assert not list(tmp_path.iterdir())
        assert not children() - before

    def test_two_from_one_source(self, tmp_path: Path) -> None:
        paths = [tmp_path / "full.mp4", tmp_path / "crop.mp4"]
        with (
            VideoEncoder(paths[0], rate=RATE, size=SIZE) as full,
            VideoEncoder(paths[1], rate=RATE, size=(32, 48)) as crop,
        ):
            for frame in numbered(20):
                full.write(frame)
                crop.write(frame[:, :32])
            assert full.finish().frames == crop.finish().frames == 20
        assert sorted(tmp_path.iterdir()) == sorted(paths)

    def test_finishing_happens_once(self, tmp_path: Path) -> None:
        with VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE) as encoder:
            for frame in numbered(5):
                encoder.write(frame)
            assert encoder.finish() is encoder.finish()
            with pytest.raises(ValueError, match="finished"):
                encoder.write(next(numbered(1)))
        assert probe(tmp_path / "out.mp4").frames == 5

    def test_the_file_is_private_while_it_grows(self, tmp_path: Path) -> None:
        with VideoEncoder(tmp_path / "out.mp4", rate=RATE, size=SIZE) as encoder:
            encoder.write(next(numbered(1)))
            (folder,) = tmp_path.iterdir()
            assert folder.stat().st_mode & 0o777 == 0o700

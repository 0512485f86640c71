"""Scan clips: frames, rates, limits, and files that are not clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from tasks.media import decode, probe
from tests.clips import (
    HEIGHT,
    WIDTH,
    children,
    make,
    make_clip,
    numbered,
    numbers,
)
from troupe.errors import MissingInput, TooLarge, UnreadableMedia

NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
RATES = [FILM, Fraction(24), Fraction(25), NTSC, Fraction(30), Fraction(50), Fraction(60000, 1001), Fraction(25, 2)]


class TestRates:
    @pytest.mark.parametrize("rate", RATES, ids=str)
    def test_constant_rates_are_exact(self, tmp_path: Path, rate: Fraction) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(45), rate)
        info = probe(clip)
        assert (info.frames, info.rate, info.width, info.height) == (45, rate, WIDTH, HEIGHT)
        assert info.seconds == pytest.approx(45 / rate)
        assert not info.audio
        assert numbers(decode(clip)) == list(range(45))

    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            ("mkv", ()),
            ("ts", ()),
            ("mov", ("-c:v", "prores_ks", "-pix_fmt", "yuv422p10le")),
            ("avi", ("-c:v", "mpeg4", "-q:v", "2")),
            ("webm", ("-c:v", "libvpx", "-b:v", "1M", "-auto-alt-ref", "1", "-lag-in-frames", "10")),
            ("webm", ("-c:v", "libvpx-vp9", "-b:v", "1M", "-cpu-used", "8")),
            ("mp4", ("-c:v", "libx264", "-pix_fmt", "yuv444p", "-bf", "3")),
            ("h264", ()),
        ],
    )
    def test_every_container_counts_the_same(self, tmp_path: Path, suffix: str, options: tuple[str, ...]) -> None:
        clip = make_clip(tmp_path / f"clip.{suffix}", numbered(45), NTSC, *options)
        assert probe(clip).frames == 45
        assert numbers(decode(clip)) == list(range(45))
        # A bare H.264 stream has no times; some containers round them to a millisecond.
        assert suffix == "h264" or probe(clip).rate == NTSC

    def test_variable_rate_passes_every_frame_once(self, tmp_path: Path) -> None:
        steady = make_clip(tmp_path / "steady.mp4", numbered(40))
        setpts = "setpts='(N+floor(N/10)*3+0.3*mod(N,2))/25/TB'"
        timing = ("-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000")
        clip = make(tmp_path / "vfr.mp4", "-i", str(steady), "-vf", setpts, *timing)
        info = probe(clip)
        assert info.frames == 40
        assert numbers(decode(clip)) == list(range(40))
        # 40 frames and 3 pauses of 3 frames.
        assert info.seconds == pytest.approx(49 / 25, abs=0.03)
        assert info.frames / info.rate == pytest.approx(info.seconds, abs=0.006)

    def test_gif(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.gif", numbered(12), Fraction(100, 7), "-c:v", "gif", "-pix_fmt", "rgb8")
        assert (probe(clip).frames, probe(clip).rate) == (12, Fraction(100, 7))
        assert numbers(decode(clip)) == list(range(12))

    def test_a_single_picture_is_a_clip_of_one_frame(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "still.png", numbered(1), Fraction(25), "-c:v", "png", "-pix_fmt", "rgb24")
        assert (probe(clip).frames, probe(clip).rate) == (1, Fraction(25))
        assert len(list(decode(clip))) == 1


class TestBadInput:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(MissingInput, match=r"nothing\.mp4"):
            probe(tmp_path / "nothing.mp4")
        with pytest.raises(MissingInput):
            probe(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"This is a text, not a video.\n" * 50, b"PK\x03\x04" + bytes(500)])
    def test_files_that_are_not_clips(self, tmp_path: Path, content: bytes) -> None:
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(content)
        with pytest.raises(UnreadableMedia, match=r"clip\.mp4"):
            probe(clip)
        with pytest.raises(UnreadableMedia, match=r"clip\.mp4"):
            next(decode(clip))

    def test_sound_without_video_is_rejected(self, tmp_path: Path) -> None:
        clip = make(tmp_path / "sound.m4a", "-f", "lavfi", "-i", "sine=d=1")
        with pytest.raises(UnreadableMedia, match="has no video"):
            probe(clip)

    def test_truncated_is_as_long_as_it_decodes(self, tmp_path: Path) -> None:
        whole = make_clip(tmp_path / "whole.mp4", numbered(60), Fraction(25), "-movflags", "+faststart", "-g", "5")
        clip = tmp_path / "half.mp4"
        clip.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
        frames = numbers(decode(clip))
        assert 0 < len(frames) < 60
        assert probe(clip).frames == len(frames)
        assert frames[:-5] == list(range(len(frames) - 5))

    def test_a_frame_with_invalid_colour_metadata(self, tmp_path: Path) -> None:
        clip = make_clip(
            tmp_path / "clip.mov", numbered(5), Fraction(25), "-c:v", "prores_ks", "-pix_fmt", "yuv422p10le"
        )
        content = bytearray(clip.read_bytes())
        frame = [at for at in range(len(content)) if content.startswith(b"icpf", at)][3]
        content[frame + 4 + 15] = 10  # the transfer function in the frame's header
        clip.write_bytes(content)
        assert numbers(decode(clip)) == list(range(5))

    def test_truncated_before_its_index(self, tmp_path: Path) -> None:
        whole = make_clip(tmp_path / "whole.mp4", numbered(30))
        clip = tmp_path / "half.mp4"
        clip.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        with pytest.raises(UnreadableMedia, match=r"half\.mp4"):
            probe(clip)

    def test_a_changed_file_is_read_again(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(20))
        assert probe(clip).frames == 20
        make_clip(clip, numbered(30))
        assert probe(clip).frames == 30

    @pytest.mark.parametrize(
        ("name", "limit", "message"),
        [
            ("TROUPE_MAX_CLIP_FRAMES", 10, "20 frames; the limit is 10"),
            ("TROUPE_MAX_CLIP_SECONDS", 1, "cut it into parts"),
            ("TROUPE_MAX_CLIP_PIXELS", 1000, "64x48 pixels per frame"),
            ("TROUPE_MAX_CLIP_BYTES", 180_000, "184320 bytes when decoded; the limit is 180000"),
        ],
    )
    def test_limits(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: float, message: str
    ) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(20), Fraction(10))
        monkeypatch.setenv(name, str(limit))
        with pytest.raises(TooLarge, match=message):
            probe(clip)

    def test_a_limit_not_visible_in_the_header(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clip = make_clip(tmp_path / "clip.mkv", numbered(20))
        monkeypatch.setenv("TROUPE_MAX_CLIP_FRAMES", "10")
        with pytest.raises(TooLarge, match="the limit is 10"):
            probe(clip)
        assert not children()

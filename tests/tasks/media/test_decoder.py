"""Reading clips: what is counted, what is delivered, what is refused."""

from __future__ import annotations

import socket
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.media import decode, probe, timing_of, verify
from tests.tasks.media.samples import (
    HEIGHT,
    WIDTH,
    beep,
    children,
    colour_patches,
    counted_by_pyav,
    make,
    make_clip,
    numbered,
    numbers,
)
from troupe.errors import FfmpegError, InputError, MissingInput, TooLarge, UnreadableMedia

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

    def test_untagged_colours_are_taken_as_players_do(self, tmp_path: Path) -> None:
        red = np.full((720, 1280, 3), (200, 30, 30), np.uint8)
        large = "scale=out_color_matrix=bt709:flags=accurate_rnd,format=yuv420p,setparams=colorspace=unknown"
        clip = make_clip(tmp_path / "large.mp4", [red] * 2, Fraction(25), "-vf", large, "-preset", "ultrafast")
        assert np.abs(next(decode(clip)).astype(int) - red).max() <= 4
        small = red[:HEIGHT, :WIDTH]
        clip = make_clip(tmp_path / "small.mp4", [small] * 2, Fraction(25), "-vf", large.replace("bt709", "bt601"))
        assert np.abs(next(decode(clip)).astype(int) - small).max() <= 4


class TestBadInput:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(MissingInput, match=r"nothing\.mp4"):
            probe(tmp_path / "nothing.mp4")
        with pytest.raises(MissingInput):
            probe(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"This is a text, not a video.\n" * 50, b"PK\x03\x04" + bytes(500)])
    def test_what_is_no_clip(self, tmp_path: Path, content: bytes) -> None:
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(content)
        with pytest.raises(UnreadableMedia, match=r"clip\.mp4"):
            probe(clip)
        with pytest.raises(UnreadableMedia, match=r"clip\.mp4"):
            next(decode(clip))

    def test_sound_alone_is_no_clip(self, tmp_path: Path) -> None:
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

    def test_a_frame_that_says_nonsense_of_its_colours(self, tmp_path: Path) -> None:
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

    def test_a_limit_that_no_header_tells(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        clip = make_clip(tmp_path / "clip.mkv", numbered(20))
        monkeypatch.setenv("TROUPE_MAX_CLIP_FRAMES", "10")
        with pytest.raises(TooLarge, match="the limit is 10"):
            probe(clip)
        assert not children()


class TestHostileInput:
    @pytest.mark.parametrize("suffix", ["mp4", "m3u8", "mpd", "txt", "png"])
    @pytest.mark.parametrize(
        "content",
        [
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
            "ffconcat version 1.0\nfile '{url}'\n",
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
            'mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" '
            'bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
        ],
        ids=["hls", "concat", "dash"],
    )
    def test_playlists_open_nothing(self, tmp_path: Path, content: str, suffix: str) -> None:
        target = make_clip(tmp_path / "target.ts", numbered(10))
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.2)
            for url in (f"file:{target}", "target.ts", f"http://127.0.0.1:{server.getsockname()[1]}/clip.ts"):
                playlist = tmp_path / f"list.{suffix}"
                playlist.write_text(content.format(url=url))
                with pytest.raises(UnreadableMedia):
                    probe(playlist)
            with pytest.raises(TimeoutError):
                server.accept()

    @pytest.mark.parametrize("name", ["-i.mp4", "-y", "a:b.mp4", "http:x.mp4", "%03d.mp4", "a b'c\".mp4", "ü[0].mp4"])
    def test_names_mean_nothing(self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        made = make_clip(tmp_path / "clip.mp4", numbered(10))
        monkeypatch.chdir(tmp_path)
        clip = made.rename(tmp_path / name)
        assert probe(Path(name)).frames == 10
        assert numbers(decode(Path(name))) == list(range(10))
        assert numbers(decode(clip)) == list(range(10))


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

    def test_frames_are_the_callers_own(self, tmp_path: Path) -> None:
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
        meant = {"frames": 50, "rate": Fraction(25), "size": (64, 48), "audio": True} | change
        with pytest.raises(FfmpegError, match=message):
            verify(clip, **meant)  # type: ignore[arg-type]

    def test_short_sound(self, tmp_path: Path) -> None:
        clip = make_clip(tmp_path / "clip.mp4", numbered(50), sound=beep(1.5, 1))
        with pytest.raises(FfmpegError, match=r"1\.5\d+ s of sound for 2\.000 s of picture"):
            verify(clip, frames=50, rate=Fraction(25), size=(64, 48), audio=True)

    def test_no_video(self, tmp_path: Path) -> None:
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(b"")
        with pytest.raises(FfmpegError, match="does not decode"):
            verify(clip, frames=1, rate=Fraction(25), size=(64, 48), audio=False)


@pytest.mark.parametrize(
    ("name", "frames", "rate"), [("d0", 78, 25), ("d9", 587, 30), ("d19", 250, 30), ("driving_video", 120, 30)]
)
def test_real_clips(shared: Path, name: str, frames: int, rate: int) -> None:
    clip = shared / "media" / f"{name}.mp4"
    info = probe(clip)
    assert (info.frames, info.rate) == (frames, Fraction(rate))
    assert counted_by_pyav(clip) == frames
    delivered = 0
    for frame in decode(clip):
        assert frame.shape == (info.height, info.width, 3)
        delivered += 1
    assert delivered == frames

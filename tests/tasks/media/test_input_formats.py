"""Formats of clips: codecs, containers, rates, rotation, timing and pixel formats; hostile files open nothing else."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tasks.media import decode, probe, timing_of
from tests.clips import (
    make,
    make_clip,
    numbered,
    numbers,
    quadrant_colours,
    quadrants,
)
from troupe.errors import UnreadableMedia

RATE = Fraction(25)
COUNT = 12
WIDTH, HEIGHT = 64, 48
SMALL = ("-preset", "ultrafast")
X264 = ("-c:v", "libx264", "-crf", "8", *SMALL)
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)
PALETTE = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"
HDR = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709,zscale=t=linear:npl=203,format=gbrpf32le"


@dataclass(frozen=True)
class Kind:
    """A way to write a clip, and the expected result of decoding it.

    Attributes:
        options: options of ffmpeg.
        rate: frames per second, as generated.
        size: (width, height) of the generated frames.
        seen: (width, height) of the decoded frames, if different.
        off: tolerance of a flat colour, in levels.
        tick: seconds to which the container rounds time stamps.
    """

    suffix: str
    options: tuple[str, ...] = X264
    rate: Fraction = RATE
    size: tuple[int, int] = (WIDTH, HEIGHT)
    seen: tuple[int, int] | None = None
    off: int = 6
    tick: float = 0.0011


def pixels(name: str, *more: str) -> tuple[str, ...]:
    return (*X264, *more, "-pix_fmt", name)


def hdr(transfer: str, matrix: str = "bt2020nc") -> tuple[str, ...]:
    """Return options for SDR encoded as HDR with BT.2408's white; the matrix is BT.2020's, whatever the tag says."""
    convert = f"scale=out_color_matrix=bt709,format=yuv444p,{HDR},zscale=p=bt2020:t={transfer}:m=bt2020nc:npl=203:r=tv"
    tags = f"colorprim=bt2020:transfer={transfer}:colormatrix={matrix}:log-level=error"
    encoder = ("-c:v", "libx265", *SMALL, "-crf", "8", "-x265-params", tags, "-pix_fmt", "yuv420p10le")
    named = ("-color_primaries", "bt2020", "-color_trc", transfer, "-colorspace", matrix)
    return ("-vf", convert, *encoder, *named)


KINDS = {
    "h264 mp4": Kind("mp4"),
    "h264 mkv": Kind("mkv"),
    "h264 mov": Kind("mov"),
    "h264 ts": Kind("ts"),
    "h264 avi": Kind("avi", (*X264, "-bf", "0")),
    "h264 flv": Kind("flv"),
    "h264 m4v": Kind("m4v"),
    "h264 3gp": Kind("3gp"),
    "h264 b-frames": Kind("mp4", ("-c:v", "libx264", "-crf", "8", "-bf", "3", "-b_strategy", "0")),
    "h264 open gop": Kind("mkv", ("-c:v", "libx264", "-crf", "8", "-x264-params", "open-gop=1:keyint=4")),
    "hevc": Kind("mp4", ("-c:v", "libx265", *SMALL, "-crf", "8", "-x265-params", "log-level=error")),
    "hevc 10 bit": Kind(
        "mkv", ("-c:v", "libx265", *SMALL, "-crf", "8", "-x265-params", "log-level=error", "-pix_fmt", "yuv420p10le")
    ),
    "vp8 webm": Kind("webm", ("-c:v", "libvpx", "-b:v", "2M", "-cpu-used", "8", "-qmin", "0", "-qmax", "8")),
    "vp9 webm": Kind("webm", ("-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "4", "-cpu-used", "8")),
    "vp9 4:4:4": Kind(
        "webm", ("-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "4", "-cpu-used", "8", "-pix_fmt", "yuv444p")
    ),
    "av1 mp4": Kind("mp4", ("-c:v", "libsvtav1", "-preset", "12", "-crf", "10"), off=8),
    "av1 webm": Kind("webm", ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-crf", "8"), off=8),
    "mpeg4 avi": Kind("avi", ("-c:v", "mpeg4", "-q:v", "1")),
    "mpeg2 mpg": Kind("mpg", ("-c:v", "mpeg2video", "-q:v", "1")),
    "mjpeg avi": Kind("avi", ("-c:v", "mjpeg", "-q:v", "1", "-pix_fmt", "yuvj420p")),
    "theora ogv": Kind("ogv", ("-c:v", "libtheora", "-q:v", "10"), off=8),
    "prores 422": Kind("mov", ("-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le")),
    "prores 4444": Kind("mov", ("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuv444p10le")),
    "ffv1 rgb": Kind("mkv", ("-c:v", "ffv1", "-pix_fmt", "bgr0"), off=0),
    "ffv1 16 bit": Kind("mkv", ("-c:v", "ffv1", "-pix_fmt", "gbrp16le"), off=1),
    "gif": Kind("gif", ("-vf", PALETTE, "-c:v", "gif", "-pix_fmt", "pal8"), rate=Fraction(20), off=8, tick=0.011),
    "animated webp": Kind("webp", ("-c:v", "libwebp_anim", "-lossless", "1", "-loop", "0", "-pix_fmt", "bgra"), off=1),
    "apng": Kind("apng", ("-f", "apng", "-c:v", "apng", "-pix_fmt", "rgb24"), off=0, tick=0.02),
    "png sequence": Kind("png", ("-f", "image2pipe", "-c:v", "png", "-pix_fmt", "rgb24"), off=0),
    "yuv4mpeg": Kind("y4m", ("-f", "yuv4mpegpipe", "-c:v", "rawvideo", "-pix_fmt", "yuv444p")),
    "23.976": Kind("mp4", rate=FILM),
    "24": Kind("mov", rate=Fraction(24)),
    "29.97": Kind("mkv", rate=NTSC),
    "30": Kind("ts", rate=Fraction(30)),
    "50": Kind("mp4", rate=Fraction(50)),
    "59.94": Kind("mkv", rate=Fraction(60000, 1001)),
    "12.5": Kind("mp4", rate=Fraction(25, 2)),
    "120": Kind("mp4", rate=Fraction(120)),
    "4:2:2": Kind("mp4", pixels("yuv422p")),
    "4:4:4": Kind("mp4", pixels("yuv444p")),
    "10 bit": Kind("mp4", pixels("yuv420p10le")),
    "4:4:4 10 bit": Kind("mkv", pixels("yuv444p10le")),
    "full range": Kind("mp4", pixels("yuv420p", "-vf", "scale=out_range=pc", "-color_range", "pc")),
    "odd size": Kind("mp4", pixels("yuv444p"), size=(63, 47)),
    "wide pixels": Kind("mp4", (*X264, "-vf", "setsar=4/3"), seen=(85, 48)),
    "tall pixels": Kind("mkv", (*X264, "-vf", "setsar=3/4"), seen=(64, 64)),
    "hdr pq": Kind("mp4", hdr("smpte2084"), off=14),
    "hdr of a wrong matrix": Kind("mp4", hdr("smpte2084", "unspecified"), off=14),
    "hdr hlg": Kind("mkv", hdr("arib-std-b67"), off=14),
    "alpha vp8": Kind(
        "webm", ("-c:v", "libvpx", "-b:v", "2M", "-qmax", "8", "-auto-alt-ref", "0", "-pix_fmt", "yuva420p"), off=8
    ),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_clips(tmp_path: Path, kind: Kind) -> None:
    options = kind.options
    clip = make_clip(
        tmp_path / f"clip.{kind.suffix}", (quadrants(number, kind.size) for number in range(COUNT)), kind.rate, *options
    )
    info, timing = probe(clip), timing_of(clip)
    assert (info.frames, (info.width, info.height)) == (COUNT, kind.seen or kind.size)
    np.testing.assert_allclose(timing.times, np.arange(COUNT) / float(kind.rate), atol=kind.tick)
    assert info.seconds == pytest.approx(COUNT / kind.rate, abs=2 * kind.tick)
    frames = list(decode(clip))
    assert len(frames) == COUNT
    for number, frame in enumerate(frames):
        expected = quadrant_colours(quadrants(number, kind.size))
        assert np.abs(quadrant_colours(frame) - expected).max() <= kind.off, (number, quadrant_colours(frame), expected)


@pytest.mark.parametrize("turn", [90, 180, 270])
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_turned_clips(tmp_path: Path, turn: int, suffix: str) -> None:
    flat = make_clip(tmp_path / "flat.mp4", (quadrants(n, (WIDTH, HEIGHT)) for n in range(4)), RATE, *X264)
    clip = make(tmp_path / f"turned.{suffix}", "-display_rotation", str(turn), "-i", str(flat), "-c", "copy")
    frames = list(decode(clip))
    assert (len(frames), probe(clip).width) == (4, WIDTH if turn == 180 else HEIGHT)
    for number, frame in enumerate(frames):
        expected = np.rot90(quadrants(number, (WIDTH, HEIGHT)), turn // 90)
        assert np.abs(quadrant_colours(frame) - quadrant_colours(np.ascontiguousarray(expected))).max() <= 6


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mov", ("-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le")),
        ("mkv", ("-c:v", "ffv1", "-pix_fmt", "bgra")),
        ("mov", ("-c:v", "png", "-pix_fmt", "rgba")),
        ("webp", ("-c:v", "libwebp_anim", "-lossless", "1", "-pix_fmt", "bgra")),
        ("apng", ("-f", "apng", "-c:v", "apng", "-pix_fmt", "rgba")),
        (
            "gif",
            (
                "-c:v",
                "gif",
            ),
        ),
    ],
)
def test_transparent_clips_are_laid_on_white(tmp_path: Path, suffix: str, codec: tuple[str, ...]) -> None:
    clear = "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(X,32),0,255)'"
    if suffix == "gif":
        clear += ",split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse"
    graph = ("-filter_complex", f"[0:v]{clear}")
    pictures = (np.full((HEIGHT, WIDTH, 3), (170, 70, 60), dtype=np.uint8) for _ in range(3))
    still = make_clip(tmp_path / "opaque.mkv", pictures, RATE, "-c:v", "ffv1", "-pix_fmt", "bgr0")
    clip = make(tmp_path / f"clear.{suffix}", "-i", str(still), *graph, *codec)
    frames = list(decode(clip))
    assert len(frames) == probe(clip).frames
    for frame in frames:
        assert frame[:, :28].min() >= 250
        assert np.abs(frame[:, 36:].astype(int) - (170, 70, 60)).max() <= 8


def test_times_of_a_variable_rate_are_the_clips_own(tmp_path: Path) -> None:
    expected = np.cumsum([0, 40, 40, 120, 33, 33, 200, 10, 40, 40, 40, 40]) / 1000
    clip = vary(tmp_path, expected)
    timing = timing_of(clip)
    np.testing.assert_allclose(timing.times, expected, atol=1e-3)
    assert not timing.even
    assert len(list(decode(clip))) == COUNT
    part = timing_of(clip, 0.1, 0.4)
    np.testing.assert_allclose(part.times, expected[3:6] - expected[3], atol=1e-3)
    assert part.seconds == pytest.approx(expected[6] - expected[3], abs=1e-3)


def vary(folder: Path, times: np.ndarray) -> Path:
    """A clip whose frames are shown at these times, in seconds."""
    steady = make_clip(folder / "steady.mp4", (quadrants(n, (WIDTH, HEIGHT)) for n in range(COUNT)), RATE, *X264)
    steps = "+".join(f"eq(N,{n})*{round(time * 90000)}" for n, time in enumerate(times))
    timing = ("-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-video_track_timescale", "90000")
    return make(folder / "vfr.mp4", "-i", str(steady), "-vf", f"settb=1/90000,setpts='{steps}'", *timing, *X264)


@pytest.mark.parametrize(
    ("rate", "fps"), [("25", "50"), ("50", "25"), ("30", "25"), ("30000/1001", "24"), ("24000/1001", "60")]
)
def test_resampled_to_a_constant_rate(tmp_path: Path, rate: str, fps: str) -> None:
    clip = make_clip(
        tmp_path / "clip.mp4", (quadrants(n, (WIDTH, HEIGHT)) for n in range(COUNT)), Fraction(rate), *X264
    )
    frames, timing = list(decode(clip, fps=Fraction(fps))), timing_of(clip, fps=Fraction(fps))
    assert len(frames) == len(timing.times) == round(COUNT / Fraction(rate) * Fraction(fps))
    assert (timing.rate, timing.even) == (Fraction(fps), True)
    shown = [round((quadrant_colours(frame)[0].mean() - 40) / 12) for frame in frames]
    for moment, number in zip(timing.times, shown, strict=True):
        # A frame is shown from its own time on, to half a frame of the new rate; or until the next one's.
        begin, end = number / Fraction(rate), (number + 1) / Fraction(rate)
        assert begin - 0.51 / Fraction(fps) <= moment <= end + 0.51 / Fraction(fps)
    assert shown == sorted(shown)


def test_a_variable_rate_resampled(tmp_path: Path) -> None:
    times = np.cumsum([0, 40, 40, 120, 33, 33, 200, 10, 40, 40, 40, 40]) / 1000
    clip = vary(tmp_path, times)
    shown = [round((quadrant_colours(frame)[0].mean() - 40) / 12) for frame in decode(clip, fps=Fraction(50))]
    moments = np.arange(len(shown)) / 50
    off = [abs(moments[shown.index(number)] - times[number]) for number in sorted(set(shown))]
    assert max(off) <= 0.0101
    assert set(range(COUNT)) - set(shown) <= {6, 7}  # ten milliseconds apart: one of them


class TestUnreadableFiles:
    @pytest.mark.parametrize("suffix", ["mp4", "mkv"])
    def test_a_truncated_clip_is_called_that(self, tmp_path: Path, suffix: str) -> None:
        clip = make_clip(tmp_path / f"clip.{suffix}", numbered(10))
        clip.write_bytes(clip.read_bytes()[:40])
        with pytest.raises(UnreadableMedia, match=rf"^clip.{suffix} is truncated or damaged: it begins as an? M"):
            probe(clip)

    def test_an_empty_clip_is_called_that(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").touch()
        with pytest.raises(UnreadableMedia, match=r"^clip.mp4 is empty .*copy or export it again$"):
            probe(tmp_path / "clip.mp4")

    def test_a_web_page_is_called_that(self, tmp_path: Path) -> None:
        (tmp_path / "a.mp4").write_text("<html><title>Log in</title>")
        with pytest.raises(UnreadableMedia, match=r"a\.mp4 is a web page \(HTML\); give the file itself"):
            probe(tmp_path / "a.mp4")

    def test_an_unknown_format_is_called_that(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").write_text("no film, however long")
        with pytest.raises(UnreadableMedia, match=r"^clip.mp4 is not in a supported format"):
            probe(tmp_path / "clip.mp4")


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
    def test_file_names_are_not_interpreted(self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        made = make_clip(tmp_path / "clip.mp4", numbered(10))
        monkeypatch.chdir(tmp_path)
        clip = made.rename(tmp_path / name)
        assert probe(Path(name)).frames == 10
        assert numbers(decode(Path(name))) == list(range(10))
        assert numbers(decode(clip)) == list(range(10))

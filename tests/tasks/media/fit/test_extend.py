"""Extended pictures: own packets untouched, further frames as they must be, and a stream that any decoder takes."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tracemalloc
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
    VideoFormat,
    VideoMetadata,
    decode,
    encode,
    ffmpeg_binary,
    find_audio,
    h264,
    probe,
    timing_of,
    verify,
)
from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.fit import EXTENSIONS, Fit, extend_picture
from tasks.media.fit.frames import PictureFrames
from tasks.media.fit.join import packet_index
from tasks.media.mux import mux_graph
from tests.clips import HEIGHT, WIDTH, beep, beep_time, numbered, numbers, write_wave
from troupe import Picture
from troupe.errors import FfmpegError, UnreadableMedia

SIZE = (WIDTH, HEIGHT)
RATE = Fraction(25)
NTSC = Fraction(30000, 1001)
FORMATS = pytest.mark.parametrize("video_format", [h264(), LOSSLESS, PRORES], ids=["h264", "lossless", "prores"])


def payloads(path: Path, count: int) -> list[str]:
    """MD5 of the first packets of the picture, in the order of the file."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [hashlib.md5(bytes(packet)).hexdigest() for packet in packets[:count]]


def check_by_ffmpeg(path: Path, *options: str, level: str = "error") -> str:
    """Decode all of a file and fail at the first error; return what ffmpeg reports."""
    ran = subprocess.run(
        [
            ffmpeg_binary(),
            "-v",
            level,
            "-xerror",
            "-err_detect",
            "explode",
            "-i",
            str(path),
            *options,
            "-f",
            "null",
            "-",
        ],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


def bounced(count: int, total: int) -> list[int]:
    """The numbers that `total` frames show when `count` of them run forwards and backwards."""
    cycle = [*range(count), *range(count - 2, 0, -1)]
    return [cycle[number % len(cycle)] for number in range(total)]


def waves(count: int, size: tuple[int, int] = (96, 80)) -> Iterator[Picture]:
    """A smooth picture that moves evenly."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    for number in range(count):
        grey = 128 + 60 * np.sin((x + 2 * number) / 9) + 50 * np.cos((y - number) / 7)
        yield np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


@FORMATS
@pytest.mark.parametrize(("count", "size", "rate"), [(1, SIZE, RATE), (2, (65, 49), NTSC), (12, SIZE, NTSC)])
@pytest.mark.parametrize("how", EXTENSIONS)
def test_own_packets_stay_and_further_frames_follow(
    tmp_path: Path, video_format: VideoFormat, count: int, size: tuple[int, int], rate: Fraction, how: str
) -> None:
    picture, target = (tmp_path / f"{name}{video_format.suffix}" for name in ("picture", "target"))
    own = encode(numbered(count, *size), picture, rate=rate, size=size, video_format=video_format)
    extended = extend_picture(picture, target, Fit(count + 29, count, how), rate=rate, video_format=video_format)
    assert not extended.reencoded
    assert extended.timing is None
    assert payloads(target, count) == payloads(picture, count)
    assert (extended.info.frames, extended.info.width, extended.info.height) == (count + 29, own.width, own.height)
    assert extended.info == probe(target)
    assert (extended.info.rate, extended.info.audio) == (rate, False)
    expected = bounced(count, count + 29) if how == "bounce" else [*range(count), *[count - 1] * 29]
    assert numbers(decode(target)) == expected
    check_by_ffmpeg(target)
    assert sorted(tmp_path.iterdir()) == sorted([picture, target])


@FORMATS
def test_no_jump_at_the_turns(tmp_path: Path, video_format: VideoFormat) -> None:
    picture, target = (tmp_path / f"{name}{video_format.suffix}" for name in ("picture", "target"))
    encode(waves(20), picture, rate=RATE, size=(96, 80), video_format=video_format)
    extend_picture(picture, target, Fit(61, 20, "bounce"), rate=RATE, video_format=video_format)
    frames = np.stack(list(decode(target))).astype(int)
    differences = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    turns = differences[[18, 19, 37, 38, 56, 57]]
    assert turns.max() <= 2 * np.median(differences)
    assert turns.min() >= np.median(differences) / 2  # no frame is shown twice
    if video_format is LOSSLESS:
        assert (frames[20:38] == frames[18:0:-1]).all()
        assert (frames[39:58] == frames[1:20]).all()


@FORMATS
def test_colours_do_not_drift(tmp_path: Path, video_format: VideoFormat) -> None:
    """Frames are encoded again in their own pixels: H.264 loses little by it, the masters next to nothing."""
    picture, target = (tmp_path / f"{name}{video_format.suffix}" for name in ("picture", "target"))
    still = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8)
    still = still.repeat(8, axis=0).repeat(8, axis=1)
    encode([still] * 3, picture, rate=RATE, size=(128, 96), video_format=video_format)
    extend_picture(picture, target, Fit(30, 3, "hold"), rate=RATE, video_format=video_format)
    frames = np.stack(list(decode(target))).astype(int)
    change = np.abs(frames[3:] - frames[2]).mean()
    assert (
        change
        <= {"h264": 1.0, "ffv1": 0.0, "prores_ks": 0.2}[str(video_format.video_options["vcodec"]).replace("libx", "h")]
    )


def test_uneven_pictures_continue_at_the_rate(tmp_path: Path) -> None:
    timing = Timing(np.cumsum([0, 40, 40, 120, 33, 33, 200, 10, 40]) / 1000, Fraction(15), 0.6, even=False)
    picture, target = tmp_path / "picture.mp4", tmp_path / "target.mp4"
    encode(numbered(9), picture, rate=timing.rate, size=SIZE, timing=timing)
    extended = extend_picture(picture, target, Fit(24, 9, "bounce"), rate=RATE, video_format=h264(), timing=timing)
    expected = [*timing.times, *(0.6 + np.arange(15) / 25)]
    assert extended.timing is not None
    np.testing.assert_allclose(extended.timing.times, expected)
    np.testing.assert_allclose(timing_of(target).times, expected, atol=1e-3)
    assert extended.timing.seconds == pytest.approx(1.2)
    assert extended.info.seconds == pytest.approx(1.2, abs=2e-3)
    assert not extended.reencoded
    assert payloads(target, 9) == payloads(picture, 9)
    assert numbers(decode(target)) == bounced(9, 24)


@pytest.mark.parametrize("count", [1, 2])
def test_two_keyframes_in_a_row_differ_in_number(tmp_path: Path, count: int) -> None:
    """H.264 tells one picture of an IDR from the next by `idr_pic_id`."""
    picture, target = tmp_path / "picture.mp4", tmp_path / "target.mp4"
    encode(numbered(count), picture, rate=RATE, size=SIZE, video_format=h264())
    extend_picture(picture, target, Fit(count + 5, count, "bounce"), rate=RATE, video_format=h264())
    trace = check_by_ffmpeg(target, "-c", "copy", "-bsf:v", "trace_headers", level="trace")
    found = [int(number) for number in re.findall(r"idr_pic_id .*= (\d+)", trace)]
    keys = packet_index(target).keys
    assert keys.tolist() == [True, *[False] * (count - 1), True, *[False] * 4]
    assert len(found) == 2
    assert count > 1 or found[0] != found[1]


def test_another_encoder_encodes_the_whole_again(tmp_path: Path) -> None:
    """Where the parameter sets differ, as after a change of ffmpeg, one stream cannot hold both."""
    picture, target = tmp_path / "picture.mp4", tmp_path / "target.mp4"
    encode(numbered(12), picture, rate=RATE, size=SIZE, video_format=h264())
    assert not extend_picture(picture, target, Fit(30, 12, "bounce"), rate=RATE, video_format=h264()).reencoded
    other = VideoFormat(".mp4", "mp4", "yuv420p", {**h264().video_options, "refs": 5}, {})
    assert extend_picture(picture, target, Fit(30, 12, "bounce"), rate=RATE, video_format=other).reencoded
    assert numbers(decode(target)) == bounced(12, 30)
    check_by_ffmpeg(target)


def test_backwards_holds_few_frames(tmp_path: Path) -> None:
    path = tmp_path / "picture.mp4"
    options = {**h264().video_options, "g": 40}
    encode(
        numbered(100, 320, 240),
        path,
        rate=RATE,
        size=(320, 240),
        video_format=VideoFormat(".mp4", "mp4", "yuv420p", options, {}),
    )
    one = 320 * 240 * 3 // 2
    frames = PictureFrames(path, "yuv420p", memory=10 * one)
    shown = []
    tracemalloc.start()
    for frame in frames.bounced(250):
        shown.append(frame[: 240 * 320].reshape(240, 320, 1)[::48].copy())
    peak = tracemalloc.get_traced_memory()[1] - sum(small.nbytes for small in shown)
    tracemalloc.stop()
    assert numbers(shown) == bounced(100, 350)[100:]
    assert peak < 14 * one


def test_sound_is_muxed_with_an_extended_picture(tmp_path: Path) -> None:
    picture, target, film = (tmp_path / f"{name}.mp4" for name in ("picture", "target", "film"))
    encode(numbered(12), picture, rate=NTSC, size=SIZE)
    extend_picture(picture, target, Fit(42, 12, "bounce"), rate=NTSC, video_format=h264())
    write_wave(tmp_path / "voice.wav", beep(2, 1.3))
    audio = find_audio(AudioSource(tmp_path / "voice.wav"))
    with FfmpegProcess(mux_graph(film, target, audio, float(42 / NTSC), VideoMetadata(), h264())) as process:
        assert process.finish() == 0, process.errors
    assert payloads(film, 42) == payloads(target, 42)
    verify(film, frames=42, rate=NTSC, size=SIZE, audio=True)
    assert beep_time(film) == pytest.approx(1.3, abs=0.05)
    check_by_ffmpeg(film)


def test_damage_is_reported(tmp_path: Path) -> None:
    picture, target = tmp_path / "picture.mp4", tmp_path / "target.mp4"
    encode(waves(12), picture, rate=RATE, size=(96, 80))
    with pytest.raises(ValueError, match="no extension from 12 to 12 frames"):
        extend_picture(picture, target, Fit(12, 12, "hold"), rate=RATE, video_format=h264())
    with pytest.raises(ValueError, match="frames by 'loop'"):
        extend_picture(picture, target, Fit(90, 12, "loop"), rate=RATE, video_format=h264())
    with pytest.raises(FfmpegError, match=r"picture\.mp4 has 12 frames instead of 11"):
        extend_picture(picture, target, Fit(90, 11, "bounce"), rate=RATE, video_format=h264())
    content = picture.read_bytes()
    middle = (content.index(b"mdat") + len(content)) // 2
    picture.write_bytes(content[:middle])
    with pytest.raises(FfmpegError, match=r"picture\.mp4 stopped decoding at frame 1 of 2"):
        extend_picture(picture, target, Fit(90, 2, "bounce"), rate=RATE, video_format=h264())
    picture.write_bytes(content[:500])
    with pytest.raises(UnreadableMedia, match=r"picture\.mp4"):
        extend_picture(picture, target, Fit(90, 12, "bounce"), rate=RATE, video_format=h264())
    assert list(tmp_path.iterdir()) == [picture]

"""Formats of written videos: quality, masters, and the choice of the encoder."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tasks.media import (
    LOSSLESS,
    PRORES,
    AudioSource,
    VideoFormat,
    VideoMetadata,
    decode,
    encode,
    h264,
    output_formats,
)
from tests.clips import (
    HEIGHT,
    WIDTH,
    beep,
    colour_patches,
    make_clip,
    numbered,
)
from troupe.errors import FfmpegError, SettingsError

SIZE = (WIDTH, HEIGHT)
RATE = Fraction(25)
NTSC, FILM = Fraction(30000, 1001), Fraction(24000, 1001)


def test_quality(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (5, HEIGHT, WIDTH, 3), dtype=np.uint8)
    sizes = []
    for quality in (5, 18, 40):
        encode(noise, tmp_path / f"{quality}.mp4", rate=RATE, size=SIZE, video_format=h264(quality))
        sizes.append((tmp_path / f"{quality}.mp4").stat().st_size)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 3 * sizes[2]


@pytest.mark.parametrize(("video_format", "off"), [(LOSSLESS, 0), (PRORES, 3)], ids=["lossless", "prores"])
def test_master_formats(tmp_path: Path, video_format: VideoFormat, off: int) -> None:
    patches = colour_patches()
    clip = make_clip(tmp_path / "clip.mp4", numbered(10), sound=beep(0.4, 0.2))
    path = tmp_path / f"master{video_format.suffix}"
    info = encode(
        [patches] * 10,
        path,
        rate=NTSC,
        size=SIZE,
        audio=AudioSource(clip),
        video_format=video_format,
        metadata=VideoMetadata("r"),
    )
    assert (info.frames, info.rate, info.audio) == (10, NTSC, True)
    inside = (slice(4, None, 16), slice(6, None, 16))
    assert np.abs(next(decode(path))[inside].astype(int) - patches[inside]).max() <= off
    with av.open(str(path)) as container:
        assert container.streams.audio[0].codec_context.name == "pcm_s16le"
        assert "trainedAlgorithmicMedia" in str({key.lower(): value for key, value in container.metadata.items()})


def test_a_lossless_master_of_odd_size(tmp_path: Path) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (47, 63, 3), dtype=np.uint8)
    path = tmp_path / "master.mkv"
    encode([frame] * 3, path, rate=RATE, size=(63, 47), video_format=LOSSLESS)
    np.testing.assert_array_equal(next(decode(path)), frame)


def test_the_encoder_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_formats, "has_nvenc", lambda: False)
    monkeypatch.setenv("TROUPE_ENCODER", "auto")
    assert h264(size=(512, 512)).video_options["vcodec"] == "libx264"
    monkeypatch.setenv("TROUPE_ENCODER", "nvenc")
    with pytest.raises(FfmpegError, match="use auto or x264"):
        h264(size=(512, 512))
    monkeypatch.setattr(output_formats, "has_nvenc", lambda: True)
    assert h264(size=(512, 512)).video_options["vcodec"] == "h264_nvenc"
    assert h264(size=(64, 64)).video_options["vcodec"] == h264(0, (512, 512)).video_options["vcodec"] == "libx264"
    monkeypatch.setenv("TROUPE_ENCODER", "x265")
    with pytest.raises(SettingsError, match="x264, nvenc, auto"):
        h264()


def test_nvenc_needs_a_gpu() -> None:
    # The other way round it need not hold: GPUs made for computing alone, as the H100, have no encoder.
    assert Path("/dev/nvidia0").exists() or not output_formats.has_nvenc()

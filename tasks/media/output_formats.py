"""Output formats of videos."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.media.ffmpeg_process import STALL_SECONDS, THREADS, ffmpeg_binary, ffmpeg_environment
from troupe.errors import FfmpegError, SettingsError

__all__ = ["LOSSLESS", "PRORES", "VideoFormat", "h264", "master_format"]

ENCODER = "TROUPE_ENCODER"
"""Environment variable: `x264` (the default), `nvenc`, or `auto`, which uses NVENC where it is available."""
_ENCODERS = ("x264", "nvenc", "auto")
_MIN_NVENC_SIDE = 160
"""Pixels of the shorter side below which x264 is used."""


@dataclass(frozen=True)
class VideoFormat:
    """Encoding of picture and sound.

    Attributes:
        suffix: suffix of the file's name.
        container: ffmpeg's name of the container format.
        pixels: ffmpeg's name of the pixel format; YUV formats are converted to BT.709.
        video_options: ffmpeg's options for the picture.
        audio_options: ffmpeg's options for the sound.
        copied_codecs: audio codecs that are copied instead of re-encoded.
    """

    suffix: str
    container: str
    pixels: str
    video_options: Mapping[str, str | int]
    audio_options: Mapping[str, str]
    copied_codecs: frozenset[str] = field(default_factory=frozenset)

    @property
    def subsampled(self) -> bool:
        """Whether both sides must be even."""
        return "420" in self.pixels or "422" in self.pixels


def h264(quality: int = 18, size: tuple[int, int] = (0, 0)) -> VideoFormat:
    """Return H.264 in MP4, for any player.

    Args:
        quality: x264's constant rate factor, 0 (lossless) to 51; 18 is visually lossless.
        size: (width, height) of the frames.

    Raises:
        SettingsError: `TROUPE_ENCODER` is invalid.
        FfmpegError: `TROUPE_ENCODER` is `nvenc`, and this machine or ffmpeg lacks NVENC.
    """
    encoder = os.environ.get(ENCODER, "").strip() or "x264"
    if encoder not in _ENCODERS:
        raise SettingsError(f"{ENCODER} is {encoder!r}; use {', '.join(_ENCODERS)}")
    options: dict[str, str | int] = {"vcodec": "libx264", "preset": "fast", "crf": quality, "threads": THREADS}
    if encoder != "x264" and quality > 0 and min(size) >= _MIN_NVENC_SIDE:
        if has_nvenc():
            options = {"vcodec": "h264_nvenc", "preset": "p5", "rc": "vbr", "cq": quality, "video_bitrate": 0}
        elif encoder == "nvenc":
            raise FfmpegError(
                f"{ENCODER} is nvenc, but ffmpeg cannot encode with NVENC on this machine; use auto or x264"
            )
    return VideoFormat(
        suffix=".mp4",
        container="mp4",
        pixels="yuv420p",
        video_options=options,
        audio_options={"acodec": "aac", "audio_bitrate": "192k"},
        # Codecs that every MP4 player supports; with Opus, FLAC and AC-3 many play no sound.
        copied_codecs=frozenset({"aac", "mp3"}),
    )


LOSSLESS = VideoFormat(
    suffix=".mkv",
    container="matroska",
    pixels="gbrp",
    video_options={"vcodec": "ffv1", "level": 3, "slices": 4, "slicecrc": 1, "g": 1, "threads": THREADS},
    audio_options={"acodec": "pcm_s16le"},
)
"""FFV1 in Matroska: lossless RGB."""

PRORES = VideoFormat(
    suffix=".mov",
    container="mov",
    pixels="yuv422p10le",
    video_options={"vcodec": "prores_ks", "profile:v": 3, "vendor": "apl0", "threads": THREADS},
    audio_options={"acodec": "pcm_s16le"},
)
"""ProRes 422 HQ in QuickTime, for editors."""


def master_format(name: str) -> VideoFormat | None:
    """Return the format of a job's `master`; None for `none`."""
    return {"lossless": LOSSLESS, "prores": PRORES}.get(name)


@functools.cache
def has_nvenc() -> bool:
    """Whether NVENC works on this machine. Found by encoding: ffmpeg is built with it even where there is no GPU."""
    test = ["-f", "lavfi", "-i", "color=s=256x256:d=0.2", "-c:v", "h264_nvenc", "-f", "null", "-"]
    try:
        ran = subprocess.run(
            [ffmpeg_binary(), "-nostdin", "-loglevel", "error", *test],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=STALL_SECONDS,
            env=ffmpeg_environment(),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return ran.returncode == 0

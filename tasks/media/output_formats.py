"""The kinds of video files that are written."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.media.ffmpeg_process import STALL_SECONDS, THREADS, ffmpeg_binary
from troupe.errors import FfmpegError, SettingsError

__all__ = ["LOSSLESS", "PRORES", "VideoFormat", "h264", "master"]

ENCODER = "TROUPE_ENCODER"
"""Environment variable: `x264` (the default), `nvenc`, or `auto`, which is nvenc where this machine has it."""
_ENCODERS = ("x264", "nvenc", "auto")
_LEAST_NVENC = 160
"""Pixels a side: smaller pictures are left to x264."""


@dataclass(frozen=True)
class VideoFormat:
    """How picture and sound are encoded.

    Attributes:
        suffix: of the file's name.
        container: ffmpeg's name of it.
        pixels: of the picture, as ffmpeg names them; what begins with `g` is RGB and stays so.
        picture: ffmpeg's options for the picture.
        sound: the same for sound.
        copies: codecs of sound that go into the file as they are.
    """

    suffix: str
    container: str
    pixels: str
    picture: Mapping[str, str | int]
    sound: Mapping[str, str]
    copies: frozenset[str] = field(default_factory=frozenset)

    @property
    def subsampled(self) -> bool:
        """Whether sides must be even."""
        return "420" in self.pixels or "422" in self.pixels


def h264(quality: int = 18, size: tuple[int, int] = (0, 0)) -> VideoFormat:
    """H.264 in MP4, for anything that plays video.

    Args:
        quality: x264's constant rate factor, 0 (lossless) to 51. Nobody sees the difference that 18 makes.
        size: (width, height) of the frames.

    Raises:
        SettingsError: `TROUPE_ENCODER` names none.
        FfmpegError: it asks for NVENC, and this machine or ffmpeg has none.
    """
    wanted = os.environ.get(ENCODER, "").strip() or "x264"
    if wanted not in _ENCODERS:
        raise SettingsError(f"{ENCODER} is {wanted!r}; use {', '.join(_ENCODERS)}")
    options: dict[str, str | int] = {"vcodec": "libx264", "preset": "fast", "crf": quality, "threads": THREADS}
    if wanted != "x264" and quality > 0 and min(size) >= _LEAST_NVENC:
        if has_nvenc():
            options = {"vcodec": "h264_nvenc", "preset": "p5", "rc": "vbr", "cq": quality, "video_bitrate": 0}
        elif wanted == "nvenc":
            raise FfmpegError(f"{ENCODER} is nvenc, but ffmpeg cannot encode with it here; use auto or x264")
    return VideoFormat(
        suffix=".mp4",
        container="mp4",
        pixels="yuv420p",
        picture=options,
        sound={"acodec": "aac", "audio_bitrate": "192k"},
        # What every player of MP4 knows; Opus, FLAC and AC-3 may be in one too, and stay silent in many.
        copies=frozenset({"aac", "mp3"}),
    )


LOSSLESS = VideoFormat(
    suffix=".mkv",
    container="matroska",
    pixels="gbrp",
    picture={"vcodec": "ffv1", "level": 3, "slices": 4, "slicecrc": 1, "g": 1, "threads": THREADS},
    sound={"acodec": "pcm_s16le"},
)
"""FFV1 in Matroska: the very frames."""

PRORES = VideoFormat(
    suffix=".mov",
    container="mov",
    pixels="yuv422p10le",
    picture={"vcodec": "prores_ks", "profile:v": 3, "vendor": "apl0", "threads": THREADS},
    sound={"acodec": "pcm_s16le"},
)
"""ProRes 422 HQ in QuickTime, for editors."""


def master(name: str) -> VideoFormat | None:
    """The form of a job's master; None for `none`."""
    return {"lossless": LOSSLESS, "prores": PRORES}.get(name)


@functools.cache
def has_nvenc() -> bool:
    """Whether this machine encodes with NVENC: found out by doing it, for ffmpeg is built with it everywhere."""
    test = ["-f", "lavfi", "-i", "color=s=256x256:d=0.2", "-c:v", "h264_nvenc", "-f", "null", "-"]
    try:
        ran = subprocess.run(
            [ffmpeg_binary(), "-nostdin", "-loglevel", "error", *test],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=STALL_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return ran.returncode == 0

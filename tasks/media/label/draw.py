"""Draw the label with libass, and blend it into frames.

The text is drawn once per size of frames, on black and on white, from which follow its colours and its opacity.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import ffmpeg  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from tasks.media.ffmpeg_process import STALL_SECONDS, ffmpeg_binary, ffmpeg_environment
from tasks.media.subtitles.burn import burn_problem
from tasks.media.subtitles.cues import Cue, Subtitles
from troupe.errors import FfmpegError
from troupe.faces import Picture

__all__ = ["Label", "draw_label", "label_problem"]

_SHARE = 20
"""The text is this part of the frame's shorter side high, at least `_SMALLEST` pixels."""
_SMALLEST = 11
_TINY = 5
"""Size down to which words are made smaller that do not fit the frame's width."""
_ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 0
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, Bold, BorderStyle, Outline, Shadow, Alignment, \
MarginL, MarginR, MarginV, Encoding
Style: label,Sans,{font},&H00FFFFFF,&H00000000,1,1,{outline},0,9,{margin},{margin},{margin},1

[Events]
Format: Layer, Start, End, Style, Text
Dialogue: 0,0:00:00.00,0:01:00.00,label,{text}
"""


@dataclass(frozen=True)
class Label:
    """A text to be blended into frames of one size, white with a black outline.

    Attributes:
        top, left: position of its rectangle, pixels.
        light: (h, w, 1) what it adds to the frame, levels.
        clear: (h, w, 1) part of the frame that stays, 0..1.
    """

    top: int
    left: int
    light: NDArray[np.float32]
    clear: NDArray[np.float32]

    def __call__(self, frame: Picture) -> Picture:
        """Return the frame, (height, width, 3) uint8, with the text."""
        height, width = self.light.shape[:2]
        labelled = frame.copy()
        part = labelled[self.top : self.top + height, self.left : self.left + width]
        part[:] = np.rint(part * self.clear + self.light)
        return labelled


@lru_cache(16)
def draw_label(text: str, size: tuple[int, int]) -> Label:
    """Draw a text for frames of a size: in their upper right corner, in as many lines as it needs.

    Args:
        size: (width, height) of the frames.

    Raises:
        FfmpegError: it cannot be drawn; `label_problem` says why.
    """
    font = max(_SMALLEST, round(min(size) / _SHARE * 1.3))  # libass' sizes include the space between lines
    while True:
        black, white = _drawn(text, size, font)
        clear = np.clip((white - black) / 255, 0, 1)
        rows, columns = (np.flatnonzero((clear < 1).any(axis)) for axis in ((1, 2), (0, 2)))
        if not len(rows):
            raise FfmpegError("ffmpeg drew nothing for the label; install a font, such as Noto Sans")
        if columns[0] > 0 or font <= _TINY:
            break
        font -= 1  # a word is wider than the frame
    where = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Label(int(rows[0]), int(columns[0]), black[where].copy(), clear[where].copy())


def _drawn(text: str, size: tuple[int, int], font: int) -> NDArray[np.float32]:
    """Return the text on black and on white, (2, height, width, 1)."""
    width, height = size
    script = _ASS.format(
        width=width,
        height=height,
        font=font,
        outline=round(max(1.0, font / 14), 1),
        margin=max(2, round(min(size) / 40)),
        text=text,
    )
    with tempfile.TemporaryDirectory(prefix="troupe-label-") as folder:
        path = Path(folder, "label.ass")
        path.write_text(script, encoding="utf-8")
        grounds = [f"color=c={colour}:s={width}x{height}:d=1:r=1,format=rgb24" for colour in ("black", "white")]
        inputs = [ffmpeg.input(ground, format="lavfi") for ground in grounds]
        frames = ffmpeg.concat(*(frame.filter("subtitles", filename=str(path)) for frame in inputs))
        arguments = ffmpeg.get_args(ffmpeg.output(frames, "pipe:1", format="rawvideo", pix_fmt="rgb24"))
        ran = subprocess.run(
            [ffmpeg_binary(), "-nostdin", "-hide_banner", "-loglevel", "error", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=STALL_SECONDS,
            env=ffmpeg_environment(),
        )
    if ran.returncode != 0 or len(ran.stdout) != 2 * width * height * 3:
        raise FfmpegError(f"ffmpeg failed at drawing the label: {ran.stderr.decode(errors='replace').strip()}")
    return np.frombuffer(ran.stdout, np.uint8).reshape(2, height, width, 3)[..., :1].astype(np.float32)


def label_problem(text: str) -> str:
    """Return why a label cannot be drawn on this machine; empty if it can."""
    return burn_problem(Subtitles((Cue(0, 1000, text),))).replace("subtitles", "label")

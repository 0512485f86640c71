"""Subtitles in memory, and their times: shifted and cut to a video, separated, moved to frames."""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tasks.media.timing import Timing

__all__ = [
    "Cue",
    "Subtitles",
    "at_frames",
    "cut_subtitles",
    "most_at_once",
    "separated",
    "timestamp",
    "without_commands",
]

_TIME_TAG = re.compile(r"<(?:(\d+):)?(\d\d):(\d\d)\.(\d{3})>")
"""A tag of WebVTT that says when the text after it appears."""
_ROUNDING = 1e-3
"""Seconds by which a text may start after the frame that it is meant for, because its times are whole milliseconds."""
_COMMAND = re.compile(r"\\(?=[Nnh])|&lt;(?=[A-Za-z/])")
"""What ffmpeg takes in texts for a line break or space of SubStation, or for a tag."""


@dataclass(frozen=True)
class Cue:
    """Text that is shown for some time.

    Attributes:
        start, end: milliseconds.
        text: WebVTT's cue text: lines, with tags, and with `&`, `<` and `>` escaped.
        settings: WebVTT's cue settings, such as `line:0`; empty is the bottom of the picture.
    """

    start: int
    end: int
    text: str
    settings: str = ""


@dataclass(frozen=True)
class Subtitles:
    """Subtitles of one language.

    Attributes:
        cues: in the order of their start; they may overlap.
        styles: WebVTT's style blocks, without the line `STYLE`.
        regions: settings of WebVTT's regions.
    """

    cues: tuple[Cue, ...]
    styles: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @property
    def styled(self) -> bool:
        """Whether they have positions or styles, which WebVTT alone can hold."""
        return bool(self.styles or self.regions or any(cue.settings for cue in self.cues))

    def with_cues(self, cues: Iterable[Cue]) -> Subtitles:
        """Return other cues with the same styles and regions."""
        return replace(self, cues=tuple(sorted(cues, key=lambda cue: (cue.start, cue.end))))


def cut_subtitles(subtitles: Subtitles, start: float, seconds: float) -> tuple[Subtitles, list[str]]:
    """Shift subtitles of a clip to a video of a part of it.

    Args:
        subtitles: with times of the clip.
        start: seconds of the clip at which the video starts.
        seconds: length of the video.

    Returns:
        subtitles with times of the video, and notes for the user about what was cut.
    """
    offset, length = round(1000 * start), round(1000 * seconds)
    kept, shortened = [], 0
    for cue in subtitles.cues:
        begin, end = max(cue.start - offset, 0), min(cue.end - offset, length)
        if begin < end:
            shortened += end - begin < cue.end - cue.start
            text = _TIME_TAG.sub(lambda tag: f"<{timestamp(max(_milliseconds(tag) - offset, 0))}>", cue.text)
            kept.append(replace(cue, start=begin, end=end, text=text))
    notes = []
    if left_out := len(subtitles.cues) - len(kept):
        notes.append(f"subtitles: {left_out} of {len(subtitles.cues)} are outside the video and were left out")
    if shortened:
        notes.append(f"subtitles: {shortened} of {len(subtitles.cues)} were cut at the start or the end of the video")
    return subtitles.with_cues(kept), notes


def separated(subtitles: Subtitles) -> Subtitles:
    """Split cues that overlap into cues that do not, where the texts stand together.

    An MP4 track shows one text at a time: of two that overlap, ffmpeg ends the first where the second starts.
    """
    times = sorted({time for cue in subtitles.cues for time in (cue.start, cue.end)})
    waiting, shown = deque(subtitles.cues), list[Cue]()
    cues: list[Cue] = []
    for start, end in itertools.pairwise(times):
        shown = [cue for cue in shown if cue.end > start]
        while waiting and waiting[0].start == start:
            shown.append(waiting.popleft())
        text = "\n".join(cue.text for cue in shown)
        if cues and cues[-1].end == start and cues[-1].text == text and len(shown) == 1 and shown[0].start < start:
            cues[-1] = replace(cues[-1], end=end)
        elif shown:
            cues.append(Cue(start, end, text, shown[0].settings))
    return subtitles.with_cues(cues)


def most_at_once(subtitles: Subtitles) -> int:
    """Return the largest number of cues that are shown at the same time."""
    changes = sorted(change for cue in subtitles.cues for change in ((cue.start, 1), (cue.end, -1)))
    return max(itertools.accumulate(step for _, step in changes), default=0)


def at_frames(subtitles: Subtitles, rate: Fraction, timing: Timing | None = None) -> Subtitles:
    """Return the times at which frames are drawn that are encoded evenly, at `rate`.

    They are half a frame early, so that no rounding moves a text to the next frame.

    Args:
        timing: times that the frames get later, where those are uneven.
    """
    ends = None if timing is None or timing.even else np.append(timing.times, timing.seconds)

    def moved(time: int) -> int:
        seconds = time / 1000 - _ROUNDING
        frame = math.ceil(seconds * float(rate)) if ends is None else int(np.searchsorted(ends, seconds))
        return max(round(Fraction(500 * (2 * frame - 1)) / rate), 0)

    cues = (replace(cue, start=moved(cue.start), end=moved(cue.end)) for cue in subtitles.cues)
    return subtitles.with_cues(cue for cue in cues if cue.start < cue.end)


def without_commands(subtitles: Subtitles) -> Subtitles:
    """Keep ffmpeg from reading commands in what is text, by invisible characters."""
    cues = (replace(cue, text=_COMMAND.sub("\\g<0>\N{WORD JOINER}", cue.text)) for cue in subtitles.cues)
    return subtitles.with_cues(cues)


def timestamp(milliseconds: int) -> str:
    """Return WebVTT's form of a time: `00:01:02.345`."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"


def _milliseconds(time: re.Match[str]) -> int:
    hours, minutes, seconds, milliseconds = (int(field or 0) for field in time.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds

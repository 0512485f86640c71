"""Read SRT and WebVTT files; broken ones are refused with the lines and the reasons."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

import webvtt

from tasks.media.subtitles.cues import Cue, Subtitles, most_at_once
from tasks.media.subtitles.text_encoding import decode_text
from troupe.errors import InputError, MissingInput, TooLarge

__all__ = ["read_subtitles"]

_MAX_BYTES = 2_000_000
"""Size above which a file is no subtitles; those of a long film have 200 kB."""
_MAX_AT_ONCE = 20
_SHOWN = 5
"""Number of problems in a message."""
_TIME = r"(?:(\d{1,3}):)?([0-5]?\d):([0-5]?\d)[,.](\d{3})"
_TIMES = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:[ \t]+(\S.*?))?\s*")
_STARTS_WITH_TIME = re.compile(r"\s*\d+:\d+:\d+[,.]\d")
_FORM = "00:00:01,000 --> 00:00:02,500"
_TAG = re.compile(r"</?[biu]>|<font\b[^<>]*>|</font>", re.IGNORECASE)
"""Tags of SRT. WebVTT has `b`, `i` and `u` too; its players skip `font`, and SRT's keep it."""
_OVERRIDE = re.compile(r"\{\\[a-zA-Z0-9][^{}\n]*\}")
"""Commands of SubStation in SRT, such as `{\\an8}`."""


def read_subtitles(path: Path, language: str = "", *, name: str = "") -> tuple[Subtitles, list[str]]:
    """Read an SRT or WebVTT file.

    Numbers, and blank lines between and within SRT's cues, may be missing or wrong: what is shown when is clear
    without them.

    Args:
        path: the file; its content decides about the format.
        language: language of the text, BCP 47, which helps to find its encoding; may be empty.
        name: the file's name, for messages; empty for that of `path`.

    Returns:
        the subtitles, and notes for the user about what was guessed or left out.

    Raises:
        MissingInput: the file cannot be read.
        TooLarge: it is larger than subtitles are.
        InputError: it is neither SRT nor WebVTT, or broken; the message names lines and reasons.
    """
    name = name or path.name
    try:
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MAX_BYTES else b""
    except OSError as error:
        raise MissingInput(f"{name} cannot be read: {error.strerror}") from None
    if size > _MAX_BYTES:
        raise TooLarge(f"{name} has {size} bytes; the limit for subtitles is {_MAX_BYTES}")
    text, notes = decode_text(data, name, language)
    lines = re.split(r"\r\n|\r|\n", text)
    read = _read_vtt if lines[0].startswith("WEBVTT") else _read_srt
    problems: list[str] = []
    if name.lower().endswith(".vtt") and read is _read_srt:
        problems.append("line 1: a WebVTT file starts with WEBVTT")
    subtitles = read(lines, problems, notes)
    if not subtitles.cues and not problems:
        problems.append(f"there is no subtitle in it; a time line of SRT or WebVTT looks like {_FORM}")
    if (most := most_at_once(subtitles)) > _MAX_AT_ONCE and not problems:
        problems.append(f"{most} are shown at the same time; the limit is {_MAX_AT_ONCE}")
    if problems:
        more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InputError(f"subtitles {name} cannot be used: {'; '.join(problems[:_SHOWN])}{more}")
    return subtitles, notes


def _read_srt(lines: Sequence[str], problems: list[str], notes: list[str]) -> Subtitles:
    cues: list[tuple[int, int]] = []
    texts: list[list[str]] = []
    positioned = False
    for number, line in enumerate(lines, start=1):
        if "-->" in line or _STARTS_WITH_TIME.match(line):
            before = texts[-1] if texts else []
            if before and before[-1].strip().isdecimal():
                before.pop()  # the number of this cue
            start, end, settings = _times(number, line, problems)
            cues.append((start, end))
            texts.append([])
            positioned = positioned or bool(settings)
        elif texts:
            texts[-1].append(line)
        elif line.strip() and not line.strip().isdecimal():
            problems.append(f"line {number}: text before the first time line, {_quoted(line)}")
    shown = ["\n".join(line for line in text if line.strip()) for text in texts]
    if positioned or any(_OVERRIDE.search(text) for text in shown):
        notes.append("subtitles: positions and effects in SRT were left out")
    found = [
        Cue(start, end, _escaped(_OVERRIDE.sub("", text)))
        for (start, end), text in zip(cues, shown, strict=True)
        if _OVERRIDE.sub("", text).strip()
    ]
    return Subtitles(()).with_cues(found)


def _read_vtt(lines: Sequence[str], problems: list[str], notes: list[str]) -> Subtitles:
    count = 0
    for first, block in _blocks(lines):
        timed = [index for index, line in enumerate(block) if "-->" in line]
        for index in timed:
            _times(first + index, block[index], problems)
        count += len(timed)
        if first > 1 and not timed and not re.match(r"(NOTE|STYLE|REGION)(\s|$)", block[0]):
            problems.append(
                f"line {first}: text without a time line, {_quoted(block[0])}; in WebVTT a blank line ends a subtitle"
            )
    file = webvtt.WebVTT.from_string("\n".join(lines))
    if not problems and len(file.captions) != count:
        problems.append(f"{count} time lines give {len(file.captions)} subtitles; put a blank line before each")
    if any(line.startswith("X-TIMESTAMP-MAP") for line in file.metadata):
        notes.append("subtitles: X-TIMESTAMP-MAP was left out; times count from the start of the clip")
    cues = [
        Cue(cue.start_time.in_milliseconds(), cue.end_time.in_milliseconds(), cue.raw_text, str(cue.settings))
        for cue in file.captions
        if cue.raw_text.strip()
    ]
    styles, regions = (style.text for style in file.styles), (str(region) for region in file.regions)
    return Subtitles((), tuple(styles), tuple(regions)).with_cues(cues)


def _blocks(lines: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Return (number of the first line, lines) of what blank lines separate."""
    blocks: list[tuple[int, list[str]]] = []
    blank = True
    for number, line in enumerate(lines, start=1):
        if line and blank:
            blocks.append((number, []))
        if line:
            blocks[-1][1].append(line)
        blank = not line
    return blocks


def _times(number: int, line: str, problems: list[str]) -> tuple[int, int, str]:
    """Return (start, end, settings) of a time line; a problem is added to `problems`."""
    match = _TIMES.fullmatch(line)
    if match is None:
        problems.append(f"line {number}: {_quoted(line)} is not of the form {_FORM}")
        return 0, 0, ""
    *fields, settings = match.groups()
    numbers = [int(field or 0) for field in fields]
    start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (numbers[:4], numbers[4:]))
    if end <= start:
        problems.append(f"line {number}: {_quoted(line)} does not end after its start")
    return start, end, settings or ""


def _escaped(text: str) -> str:
    """Return SRT's text as WebVTT's: tags of SRT stay, everything else is text."""
    parts = _TAG.split(text)
    tags = [tag.lower() if len(tag) <= len("</b>") else tag for tag in _TAG.findall(text)]
    return "".join(html.escape(part, quote=False) + tag for part, tag in zip(parts, [*tags, ""], strict=True))


def _quoted(line: str) -> str:
    return repr(line if len(line) <= 60 else f"{line[:57]}...")

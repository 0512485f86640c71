"""The columns of a jobs file, and the valid values of their cells."""

from __future__ import annotations

import difflib
import json
import logging
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import langcodes

from catalogs.requests.column_names import suggestion
from catalogs.store import uris
from catalogs.store.keys import JOB_ID, valid_job_id
from troupe import PRESETS, FaceChoice
from troupe.errors import SettingsError
from troupe.job import BLENDS, CROPS, FITS, GAPS, LABELS, LIPS, LOUDNESS, MASTERS, WATERMARKS, valid_size

__all__ = ["COLUMNS", "LANGUAGE", "REQUIRED", "is_empty", "label_note", "parse_cells"]

_log = logging.getLogger(__name__)

_AUDIO = ("driving", "none")
_OUTPUTS = ("full", "crop", "both")
_QUALITIES = 51
_RATES = (1, 240)
_NTSC = (24, 30, 48, 60, 120)
_SEEDS = 2**63
_NUMBER = re.compile(r"(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FRACTION = re.compile(r"\d{1,9}(\.\d{0,9})?|\.\d{1,9}|\d{1,9}/0*[1-9]\d{0,8}", re.ASCII)
_LONGEST_CELL = 32_767
"""Characters, as in a spreadsheet; each of a run's jobs is kept in memory and repeated in its row and its report."""

_LONGEST_LABEL = 60
"""Characters: two or three lines in a square frame."""

LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
"""BCP 47 tags, as far as their form."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def parse_cells(cells: Mapping[str, Any], folder: str, where: str, problems: list[str]) -> dict[str, Any]:
    """Return the values of the known, filled cells, by column.

    Args:
        cells: cells of a row, by column.
        folder: folder that relative paths are relative to.
        where: position of the row, for messages.
        problems: list that invalid cells are reported to.
    """
    fields: dict[str, Any] = {}
    for column, parse in _PARSERS.items():
        cell = cells.get(column)
        if cell is None or is_empty(cell):  # most of them: there are many columns
            continue
        try:
            if isinstance(cell, str) and len(cell) > _LONGEST_CELL:
                raise ValueError(f"has {len(cell)} characters; use at most {_LONGEST_CELL}")
            text = cell if column in _TYPED else _text(cell)
            value = parse(text, folder)
        except SettingsError as error:  # from FaceChoice; the message starts with "face is"
            problems.append(f"{where}: {column}{error.message.removeprefix('face')}")
        except ValueError as error:
            problems.append(f"{where}: {column} {error}")
        else:
            fields[column] = value
    return fields


def is_empty(cell: Any) -> bool:
    """Return whether the cell is empty. Data frames write NaN for that."""
    return cell is None or (isinstance(cell, str) and not cell.strip()) or (isinstance(cell, float) and cell != cell)


def _text(cell: Any) -> str:
    """Return a cell as the text that CSV has for it."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # data frames write integers in a column with empty cells as 3.0
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise ValueError(f"has the type {type(cell).__name__}; write text or a number")
    text = str(cell).strip()
    if _CONTROL.search(text):
        raise ValueError(f"is {_short(text)}, which contains a control character")
    return text


def _as_is(text: str, _folder: str) -> str:
    return text


def _job_id(text: str, _folder: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if not valid_job_id(text):
        raise ValueError(f"is {_short(text)}; use {JOB_ID}")
    return text


def _uri(text: str, folder: str) -> str:
    if uris.has_credentials(text):
        raise ValueError(f"is {uris.redacted(text)!r} with credentials; {uris.credentials_advice(text)}")
    return sys.intern(_absolute(_posix(text, folder), folder))


@lru_cache(maxsize=1024)  # jobs share inputs
def _absolute(uri: str, folder: str) -> str:
    return uris.absolute(uri, folder)


def _posix(path: str, folder: str) -> str:
    """Return a path as this machine writes it: `~` expanded, and `\\` as `/` unless there is a file of that name.

    Raises:
        ValueError: it is an absolute path of Windows.
    """
    if path.startswith("~/"):
        return str(Path(path).expanduser())
    if uris.scheme(path) or "\\" not in path:
        return path
    if re.match(r"[A-Za-z]:\\|\\\\", path):
        raise ValueError(f"is {_short(path)}, a path of Windows; write it as this machine names the file")
    literal = uris.local_path(uris.absolute(path, folder))
    return path if literal is not None and literal.exists() else path.replace("\\", "/")


def _audio(text: str, folder: str) -> str:
    if text in _AUDIO:
        return text
    if not re.search(r"[/.]", text):
        raise ValueError(f"is {_short(text)}; use {', '.join(_AUDIO)} or the URI of an audio file")
    return _uri(text, folder)


def _face(text: str, _folder: str) -> FaceChoice:
    return FaceChoice(text)


def _decimal_point(text: str) -> str:
    """Return a number with a decimal comma with a point instead.

    Raises:
        ValueError: the comma may also separate thousands.
    """
    if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+", text):
        point, plain = text.replace(",", ".", 1).rstrip("0"), text.replace(",", "")
        raise ValueError(f"is {_short(text)}, which may be {point} or {plain}; write it without a comma")
    return text.replace(",", ".") if re.fullmatch(r"[0-9]*,[0-9]+", text) else text


def _seconds(text: str, _folder: str) -> float:
    text = _decimal_point(text)
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"is {_short(text)}; use seconds, such as 12.5")
    return float(text)


def _seed(text: str, _folder: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) >= _SEEDS:
        raise ValueError(f"is {_short(text)}; use an integer from 0 to {_SEEDS - 1}")
    return int(text)


def _language(text: str, _folder: str) -> str:
    text = text.replace("_", "-")  # as locales are written: pt_BR
    if not LANGUAGE.fullmatch(text):
        raise ValueError(f"is {_short(text)}; use a BCP 47 tag, such as en, pt-BR or zh-Hant")
    return text


def _size(text: str, _folder: str) -> str:
    if not valid_size(text):
        raise ValueError(f"is {_short(text)}; use source, 1080p, 2160p or WxH in pixels, such as 1280x720")
    return text


def _stretch_limit(text: str, _folder: str) -> float:
    """Parse `0.15` or `15%`."""
    number = _decimal_point(text.removesuffix("%").strip())
    value = float(number) / (100 if text.endswith("%") else 1) if _NUMBER.fullmatch(number) else math.nan
    if not 0 <= value < 1:
        raise ValueError(
            f"is {_short(text)}; use a share of the motion's length from 0 to below 1, such as 0.15 or 15%"
        )
    return value


def _loudness(text: str, _folder: str) -> float:
    """Parse `-23`, in LUFS."""
    if re.fullmatch(r"[-\d.,]+\s*(LUFS|LKFS|LU|dB\w*)", text, re.IGNORECASE):
        raise ValueError(f"is {_short(text)}; write the number alone, without a unit, such as -23")
    number = _decimal_point(text.removeprefix("-"))
    value = -float(number) if text.startswith("-") and _NUMBER.fullmatch(number) else math.nan
    low, high = LOUDNESS
    if not low <= value <= high:
        raise ValueError(f"is {_short(text)}; use {low:g} to {high:g} LUFS, such as -23, -16 or -14")
    return value


def _label(text: str, _folder: str) -> str:
    if text.casefold() in LABELS:
        return text.casefold()
    if len(text) > _LONGEST_LABEL or re.search(r"[{}\\]", text):
        raise ValueError(
            f"is {_short(text)}; use {', '.join(LABELS)}, or a text of at most {_LONGEST_LABEL} characters without "
            f"braces and backslashes"
        )
    _warn_of_label(text)
    return text


@lru_cache(maxsize=1024)  # once for all jobs
def label_note(text: str) -> str:
    """Return a note on a label that is drawn as it is, and is nearly a known one; empty if it is neither."""
    if text.casefold() in LABELS:
        return ""
    spelled = re.sub(r"[\s_]+", "-", text.casefold())
    known = ["none"] if spelled in ("off", "no", "false") else difflib.get_close_matches(spelled, LABELS, 1, 0.75)
    return f"label: {_short(text)} is drawn as this text; did you mean {known[0]}?" if known else ""


@lru_cache(maxsize=1024)  # once for all rows
def _warn_of_label(text: str) -> None:
    if note := label_note(text):
        _log.warning("%s", note)


def _render_key(text: str, _folder: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", text):
        raise ValueError(f"is {_short(text)}; use the render_key of a film, as the catalog has it")
    return text


def _track(text: str, _folder: str) -> str:
    name, _, value = text.partition(":")
    if not (name == "index" and re.fullmatch(r"[0-9]{1,3}", value)) and not (
        name == "language" and LANGUAGE.fullmatch(value)
    ):
        raise ValueError(f"is {_short(text)}; use index:N, counted from 0, or language:TAG, such as language:en")
    return text


def _languages(text: str, _folder: str) -> tuple[str, ...]:
    """Parse `en;fr;pt-BR`."""
    tags = tuple(tag.replace("_", "-") for tag in re.split(r"[;,\s]+", text) if tag)
    unknown = [tag for tag in tags if not LANGUAGE.fullmatch(tag) or not langcodes.tag_is_valid(tag)]
    if unknown:
        which = f"{unknown[0]} is not a language" if len(unknown) == 1 else f"{', '.join(unknown)} are not languages"
        raise ValueError(f"is {_short(text)}; {which}, use BCP 47 tags such as en;fr;pt-BR")
    if len(set(map(str.casefold, tags))) < len(tags):
        raise ValueError(f"is {_short(text)}, which names a language twice")
    return tags


def _flag(cell: Any, _folder: str) -> bool:
    """Parse `true` and `false`, as spreadsheets and data frames write them."""
    text = _text(json.dumps(cell) if isinstance(cell, bool) else cell).lower()
    if text not in _FLAGS:
        raise ValueError(f"is {_short(text)}; use true or false")
    return _FLAGS[text]


def _one_of(*choices: str) -> Callable[[str, str], str]:
    *others, last = choices

    def parse(text: str, _folder: str) -> str:
        if text not in choices:
            raise ValueError(f"is {_short(text)}; use {', '.join(others)} or {last}{suggestion(text, choices)}")
        return text

    return parse


def _rate(text: str, _folder: str) -> Fraction:
    """Parse `25`, `30000/1001`, or `29.97`, which stands for 30000/1001."""
    text = _decimal_point(text)
    message = f"is {_short(text)}; use {_RATES[0]} to {_RATES[1]} frames per second, such as 25, 29.97 or 30000/1001"
    if not _FRACTION.fullmatch(text):  # `Fraction` itself computes the value of 1e999999999
        raise ValueError(message)
    rate = Fraction(text)
    if "/" not in text:
        exact = next((n for n in (Fraction(rate * 1000, 1001) for rate in _NTSC) if abs(n - rate) < n / 5000), rate)
        rate = exact.limit_denominator(1001)
    if not _RATES[0] <= rate <= _RATES[1] or rate.denominator > 90000:
        raise ValueError(message)
    return rate


def _quality(text: str, _folder: str) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", text) or int(text) > _QUALITIES:
        raise ValueError(f"is {_short(text)}; use an integer from 0 (lossless) to {_QUALITIES}; the default is 18")
    return int(text)


def _tags(cell: Any, _folder: str) -> dict[str, str]:
    """Parse tags: a JSON object, its text, `k=v;k=v`, or the pairs of a Parquet map."""
    pairs: Any = cell
    if isinstance(cell, str) and cell.lstrip().startswith("{"):
        try:
            pairs = json.loads(cell)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"is {_short(cell)}, which is not JSON: {error}") from None
    elif isinstance(cell, str):
        parts = [part for part in cell.split(";") if part.strip()]
        if any("=" not in part for part in parts):
            raise ValueError(f"is {_short(cell)}; write name=value;name=value or a JSON object")
        pairs = [tuple(part.split("=", 1)) for part in parts]
    if isinstance(pairs, Mapping):
        pairs = list(pairs.items())
    if not isinstance(pairs, list) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError("is not a set of names and values; write name=value;name=value or a JSON object")
    tags: dict[str, str] = {}
    for name, value in pairs:
        if value is None:
            continue
        name, text = _text(name), _tag_value(value)
        if not name or name in tags:
            raise ValueError(f"names {_short(name)} twice" if name else "has a value without a name")
        tags[name] = text
    if (length := sum(len(name) + len(text) for name, text in tags.items())) > _LONGEST_CELL:
        raise ValueError(f"has {length} characters; use at most {_LONGEST_CELL}")
    return tags


def _tag_value(value: Any) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    return _text(value)


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:80] + "…")


REQUIRED = ("portrait", "driving")
_TYPED = ("tags", "subtitles_burn")
"""Columns whose cells need not be text or numbers."""
_FLAGS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_PARSERS: dict[str, Callable[[Any, str], Any]] = {
    "portrait": _uri,
    "driving": _uri,
    "job_id": _job_id,
    "identity": _as_is,
    "face": _face,
    "driving_face": _face,
    "tracks": _uri,
    "start": _seconds,
    "end": _seconds,
    "audio": _audio,
    "language": _language,
    "languages": _languages,
    "output": _one_of(*_OUTPUTS),
    "fps": _rate,
    "gaps": _one_of(*GAPS),
    "crop": _one_of(*CROPS),
    "blend": _one_of(*BLENDS),
    "quality": _quality,
    "master": _one_of(*MASTERS),
    "preset": _one_of(*PRESETS),
    "seed": _seed,
    "consent": _as_is,
    "tags": _tags,
    "audio_track": _track,
    "video_track": _track,
    "size": _size,
    "fit": _one_of(*FITS),
    "stretch_limit": _stretch_limit,
    "loudness": _loudness,
    "subtitles": _uri,
    "subtitles_language": _language,
    "subtitles_burn": _flag,
    "label": _label,
    "watermark": _one_of(*WATERMARKS),
    "lips": _one_of(*LIPS),
    "replaces": _render_key,
}
COLUMNS = tuple(_PARSERS)
"""Columns of a jobs file; the first two are required."""

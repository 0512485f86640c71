"""Arguments of a render: what to animate, by which clip, and how."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np

from catalogs.requests.column_names import suggestion
from catalogs.requests.inputs import stat
from catalogs.requests.jobs_file import parse_job
from catalogs.store import uris
from tasks.run.requests.check_request import check_marks
from troupe import FaceChoice, Job, Picture
from troupe.errors import BadJob, SettingsError, TroupeError

__all__ = ["OPTIONS", "DrivingSource", "JobOptions", "PathLike", "PortraitSource", "call_checks", "is_path", "make_job"]

Check: TypeAlias = Callable[[], object]
PathLike: TypeAlias = str | os.PathLike[str]
PortraitSource: TypeAlias = PathLike | Picture
"""Path or URL of a picture, or its pixels, (H, W, 3) uint8."""
DrivingSource: TypeAlias = PathLike | Iterable[Picture]
"""Path or URL of a clip, or its frames, (H, W, 3) uint8 each; they are taken once, and may be a generator."""


class JobOptions(TypedDict, total=False):
    """The options of a render: columns of a jobs file, with the same names, values and defaults (docs/jobs.md)."""

    face: str | FaceChoice
    driving_face: str | FaceChoice
    tracks: PathLike
    start: float
    end: float | None
    audio: PathLike
    fit: Literal["strict", "cut", "hold", "bounce", "stretch", "stretch+bounce"]
    stretch_limit: float | str
    loudness: float | None
    subtitles: PathLike
    subtitles_language: str
    subtitles_burn: bool
    audio_track: str
    video_track: str
    language: str
    output: Literal["full", "crop"]
    fps: float | str | Fraction | None
    gaps: Literal["hold", "cut", "fail"]
    crop: Literal["first", "follow"]
    blend: Literal["seamless", "reference"]
    size: str
    quality: int
    preset: Literal["exact", "draft", "fast", "sketch"]
    seed: int
    label: str
    watermark: Literal["on", "off", "required"]
    lips: Literal["driving", "sound"]


OPTIONS = tuple(JobOptions.__annotations__)


def is_path(source: object) -> bool:
    """Whether a source is a path or URL, not pixels."""
    return isinstance(source, str | os.PathLike)


def make_job(portrait: PathLike, driving: PathLike, options: Mapping[str, Any]) -> Job:
    """Return the job of a call.

    Raises:
        BadJob: options are unknown or invalid; all problems are reported together.
    """
    use = f"; use one of {', '.join(OPTIONS)}"
    problems = [
        f"option {name!r} is unknown{suggestion(name, OPTIONS) or use}" for name in options if name not in OPTIONS
    ]
    if options.get("output") == "both":
        problems.append("output is 'both', but a call makes one video; use full or crop, or `troupe run`")
    known = {name: _cell(value) for name, value in options.items() if name in OPTIONS}
    paths = {"portrait": str(portrait), "driving": str(driving)}
    problems += [f"call: {name} is empty" for name, path in paths.items() if not path.strip()]
    return parse_job(known | {name: path.strip() or "." for name, path in paths.items()}, "call", problems)


def call_checks(
    portrait: PortraitSource, driving: DrivingSource, options: Mapping[str, Any], path: PathLike | None = None
) -> list[Check]:
    """Return the checks of a call's arguments, which take a moment."""
    paths = [str(source) if is_path(source) else "array" for source in (portrait, driving)]
    checks: list[Check] = [lambda: check_marks([make_job(paths[0], paths[1], options)])]
    # Files are looked at whatever is wrong with the options.
    sound = options.get("audio")
    named = (options.get("tracks"), options.get("subtitles"), None if sound in ("driving", "none") else sound)
    for file in (portrait, driving, *named):
        if is_path(file) and str(file).strip():
            checks.append(partial(_check_exists, str(file)))
    if not is_path(portrait):
        checks.append(lambda: check_picture(portrait, "the portrait"))
    if not is_path(driving) and not isinstance(driving, Iterable):
        checks.append(lambda: _refuse(f"the driving clip is a {type(driving).__name__}; use a path or frames"))
    if path is None and options.get("subtitles"):
        checks.append(lambda: _refuse("subtitles are part of a video, and frames have none; use animate"))
    if path is not None:
        checks.append(lambda: _check_video(str(path), [str(file) for file in (portrait, driving) if is_path(file)]))
    return checks


def check_picture(picture: Any, what: str) -> Picture:
    """Return a picture's pixels.

    Raises:
        SettingsError: it is not (H, W, 3) uint8.
    """
    pixels = np.asarray(picture)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise SettingsError(f"{what} is {pixels.dtype} of shape {pixels.shape}; use a path, or (H, W, 3) uint8 RGB")
    return pixels


def _cell(value: Any) -> Any:
    """Return an option as a cell of a jobs file has it."""
    if isinstance(value, FaceChoice):
        return value.text
    return str(value) if isinstance(value, os.PathLike | Fraction) else value


def _check_exists(path: str) -> None:
    try:
        job = make_job(path, path, {})
    except BadJob:  # reported with the options
        return
    stat(job.portrait)


def _check_video(path: str, inputs: list[str]) -> None:
    local = Path(path).expanduser().absolute()
    if uris.scheme(path):
        _refuse(f"{uris.redacted(path)} is a URL; write the video to a local file")
    if local.suffix.lower() != ".mp4":
        _refuse(f"{path} does not end in .mp4; the video is H.264 in MP4")
    if not local.parent.is_dir():
        _refuse(f"the folder {local.parent} does not exist; create it")
    if local.is_dir():
        _refuse(f"{path} is a folder; name a file in it")
    if local.exists() and any(_is_same_file(local, name) for name in inputs):
        _refuse(f"{path} is an input of the same call; name another file")


def _is_same_file(path: Path, uri: str) -> bool:
    try:
        local = uris.local_path(uri)
        return local is not None and path.samefile(local.expanduser())
    except (OSError, ValueError, TroupeError):
        return False


def _refuse(message: str) -> None:
    raise SettingsError(message)

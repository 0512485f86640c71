"""Length and tracks of a file: read and tried when a run is planned, so that what fails, fails first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av

from tasks.media.audio import decodes, sound_of
from tasks.media.input_formats import (
    AUDIO_FORMATS,
    CLIP_FORMATS,
    film_streams,
    is_default,
    missing_track,
    open_container,
    pick_track,
    usable_streams,
    video_stream,
)
from tasks.media.limits import limits
from tasks.media.mux import USUAL_LAYOUTS, fit_audio
from tasks.media.output_formats import h264, master_format
from troupe.errors import InputError, UnreadableMedia
from troupe.job import MASTERS

__all__ = ["TrackList", "list_tracks", "read_last_time", "read_length", "sound_problems", "track_error"]

TrackList = Mapping[str, Sequence[Mapping[str, Any]]]
"""Tracks with a decoder, by `video` and `audio`: their `language` and whether they are the file's `default`; of sound
also whether it is `heard`, whether its layout is `unusual`, and its `problems` by master, see `sound_problems`."""


def list_tracks(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the `TrackList` of a file, without `problems`.

    Raises:
        InputError: the file cannot be opened.
    """
    with open_container(path, AUDIO_FORMATS, max_pixels=str(limits().clip_pixels)) as container:
        films, sounds = film_streams(container), usable_streams(container.streams.audio)
        return {
            "video": [{"language": stream.language or "", "default": is_default(stream)} for stream in films],
            "audio": [
                {
                    "language": stream.language or "",
                    "default": is_default(stream),
                    "unusual": stream.layout.name not in USUAL_LAYOUTS,
                    "heard": decodes(path, stream.index),
                }
                for stream in sounds
            ],
        }


def sound_problems(path: Path, number: int) -> dict[str, str]:
    """Return why a track of sound cannot be encoded, by master that the job may request; empty if it can be.

    Args:
        number: place of the track among those with a decoder, from 0.
    """
    problems: dict[str, str] = {}
    for master in MASTERS:
        try:
            if (sound := sound_of(path, f"index:{number}")) is not None:
                fit_audio(sound, master_format(master) or h264(size=(2, 2)))
        except InputError as error:
            problems[master] = error.message
    return problems


def track_error(tracks: TrackList, kind: str, choice: str, name: str, master: str = "none") -> InputError | None:
    """Return why the chosen track of a file cannot be used; None if it can be, or if there is none and no choice.

    Args:
        kind: `video` or `audio`.
        choice: `index:N`, `language:TAG`, or empty for the default.
        name: name of the file.
        master: master that is made beside H.264.
    """
    found = tracks.get(kind)
    if found is None:
        return None
    number = pick_track([track["language"] for track in found], [track["default"] for track in found], choice)
    if number is None:
        return missing_track(name, kind, choice, [track["language"] for track in found]) if choice else None
    problems = found[number].get("problems", {})
    problem = problems.get("none") or problems.get(master)
    return UnreadableMedia(problem) if problem else None


def read_length(path: Path) -> tuple[int, float] | None:
    """Return the number of frames of a clip and its rate, None if they are unknown.

    They are read from the file's headers alone: decoding would be exact, and take as long as the render.

    Raises:
        InputError: the clip cannot be opened, or has no video.
    """
    try:
        return _length(path)
    except UnreadableMedia as error:
        if _is_sound(path):
            what = f"{path.name} is a sound without pictures"
            raise UnreadableMedia(f"{what}; name a clip, and the sound in the column audio") from error
        raise


def _length(path: Path) -> tuple[int, float] | None:
    try:
        with open_container(path, CLIP_FORMATS) as container:
            stream = video_stream(container)
            if stream is None:
                raise UnreadableMedia(f"{path.name} has no video that can be decoded")
            if not stream.average_rate:
                return None
            rate = float(stream.average_rate)
            seconds, frames = (container.duration or 0) / av.time_base, stream.frames
            if "mov" in container.format.name and stream.duration and stream.time_base:
                # Of a fragmented file, only the frames of the first fragment are counted there.
                frames = max(frames, round(float(stream.duration * stream.time_base) * rate))
            frames = frames or round(seconds * rate)
            if not frames and container.format.name.endswith("_pipe"):  # one picture, or several in one file
                frames = sum(1 for packet in container.demux(stream) if packet.size)
    except (InputError, MemoryError):
        raise
    except Exception:  # The job itself will report what is wrong with the clip.
        return None
    return (frames, rate) if frames > 0 else None


def _is_sound(path: Path) -> bool:
    try:
        with open_container(path, AUDIO_FORMATS) as container:
            return not film_streams(container) and bool(usable_streams(container.streams.audio))
    except InputError:
        return False


def read_last_time(path: Path) -> float | None:
    """Return the time of a clip's last frame, in seconds since its first; None if it is unknown.

    All packets are read: the headers of a fragmented file only count its first fragment. With several video tracks it
    is that of the longest. Pictures have no times of their own.

    Raises:
        InputError: the clip cannot be opened.
    """
    try:
        with open_container(path, CLIP_FORMATS) as container:
            if path.is_dir() or container.format.name.endswith("_pipe"):
                return None
            times = {stream.index: list[int]() for stream in film_streams(container)}
            decoded = dict.fromkeys(times, -math.inf)
            for packet in container.demux([container.streams[index] for index in times]):
                time = packet.dts if packet.pts is None else packet.pts
                index = packet.stream.index
                if not packet.size:
                    continue
                # Times that start again are those of recordings that were joined.
                if time is None or (packet.dts is not None and packet.dts <= decoded[index]):
                    return None
                decoded[index] = packet.dts if packet.dts is not None else decoded[index]
                times[index].append(time)
            lasts = [
                float((max(found) - min(found)) * (container.streams[index].time_base or 0))
                for index, found in times.items()
                if found
            ]
    except (InputError, MemoryError):
        raise
    except Exception:  # as in `read_length`
        return None
    return max(lasts, default=None)

"""The film step: a picture, copied bit by bit, and its sound become the videos that are published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from catalogs.store.renders import Record, discard_render, find_record, record_key
from tasks import media
from tasks.media import AudioSource, AudioStream, VideoMetadata
from tasks.steps.context import WorkerContext
from tasks.steps.publish import finished_record, publish
from tasks.steps.specs import FilmDone, FilmSpec, PictureSpec
from troupe import __version__
from troupe.errors import DamagedFile, UnreadableMedia
from troupe.files import file_sha256
from troupe.stopwatch import Stopwatch

__all__ = ["make_film"]

_OF_PICTURE_ALONE = ("checksum", "bytes", "files", "digest")


def make_film(context: WorkerContext, spec: FilmSpec) -> FilmDone:
    """Join a picture with its sound and publish the videos, unless they are in the store.

    Raises:
        DamagedFile: the picture is missing or damaged; it is deleted, so that it can be rendered again.
        InputError: the sound is missing or unreadable.
        StoreError: the store failed; nothing half finished is visible.
    """
    damaged: list[str] = []
    if (finished := finished_record(context.store, spec, damaged.append)) is not None:
        return FilmDone(reused=True, facts=finished)
    if damaged:
        context.note(damaged[0])
        discard_render(context.store, spec.folder)
    watch = Stopwatch()
    with context.scratch() as folder:
        with watch("fetch"):
            picture = _picture_record(context, spec.picture)
            files = _fetch_picture(context, spec.picture, picture, folder)
            audio, choices = _audio(context, spec)
        with watch("encode_video"):
            outputs, notes = _write_films(context, spec, picture, files, audio, folder)
        facts = _facts(spec, picture, outputs, [*choices, *notes], has_audio=audio is not None, seconds=watch.seconds)
        with watch("put"):
            context.check_inputs(spec.picture.motion.track.clip, *([spec.audio] if spec.audio else []))
            posters = {"poster.jpg": files[picture["poster"]]}
            record, puts = publish(context.store, spec, {path.name: path for path in outputs.values()} | posters, facts)
    return FilmDone(
        # Another run may have published the same film meanwhile: then the film is that run's.
        reused=(record["run_id"], record["job_id"]) != (spec.run_id, spec.job.job_id),
        seconds=watch.seconds,
        puts=puts,
        notes=context.take_notes(),
        facts=record,
    )


def _picture_record(context: WorkerContext, spec: PictureSpec) -> Record:
    try:
        record = find_record(context.store, spec.folder)
    except DamagedFile:
        discard_render(context.store, spec.folder)
        raise
    if record is None:
        raise DamagedFile(f"{context.store.uri(record_key(spec.folder))} is missing")
    return record


def _fetch_picture(context: WorkerContext, spec: PictureSpec, record: Record, folder: Path) -> Mapping[str, Path]:
    """Fetch the files of a picture and compare them with their digests; return them by key."""
    files: dict[str, Path] = {}
    for key in (*record["outputs"].values(), record["poster"]):
        name = PurePosixPath(key).name
        files[key] = folder / f"picture-{name}"
        context.store.get(key, files[key])
        if file_sha256(files[key]) != record["files"][name]["sha256"]:
            discard_render(context.store, spec.folder)
            raise DamagedFile(f"{context.store.uri(key)} is damaged: its SHA-256 is not that of its record")
    return files


def _write_films(
    context: WorkerContext,
    spec: FilmSpec,
    picture: Record,
    files: Mapping[str, Path],
    audio: AudioStream | None,
    folder: Path,
) -> tuple[dict[str, Path], list[str]]:
    """Write all videos of the film; return them by output, and notes on what was converted."""
    metadata = VideoMetadata(run_id=spec.run_id, job_id=spec.job.job_id, language=spec.job.language)
    outputs: dict[str, Path] = {}
    notes: list[str] = []
    for name, key in picture["outputs"].items():
        context.raise_if_cancelled()
        video_format = media.master_format(spec.job.master) if name == "master" else None
        video_format = video_format or media.h264()
        fitted = audio
        if audio is not None:
            fitted, more = media.fit_audio(audio, video_format)
            notes += more
        outputs[name] = folder / f"{name}{video_format.suffix}"
        rate = Fraction(*picture["fps"])
        media.add_sound(files[key], outputs[name], fitted, picture["seconds"], rate, metadata, video_format)
    return outputs, notes


def _audio(context: WorkerContext, spec: FilmSpec) -> tuple[AudioStream | None, list[str]]:
    """Return the sound, that of the animated part of the driving clip or of a file that the job names, and notes.

    Raises:
        UnreadableMedia: the file that the job names has no audio.
    """
    job = spec.job
    if job.audio == "none":
        return None, []
    if spec.audio is None:
        clip = context.input(spec.picture.motion.track.clip)
        source = AudioSource(clip, job.start, job.end, job.audio_track, job.video_track)
    else:
        source = AudioSource(context.input(spec.audio), track=job.audio_track)
    audio = media.find_audio(source)
    if audio is None and spec.audio is not None:
        raise UnreadableMedia(f"{job.audio} has no sound; name another file, or `none`")
    return audio, media.sound_notes(source.path, job.audio_track)


def _facts(
    spec: FilmSpec,
    picture: Record,
    outputs: Mapping[str, Path],
    notes: list[str],
    *,
    has_audio: bool,
    seconds: Mapping[str, float],
) -> dict[str, Any]:
    """Return the content of the film's `render.json`: what the picture's has, and what the film adds."""
    own = (picture["run_id"], picture["job_id"]) == (spec.run_id, spec.job.job_id)
    stages = Counter(picture["stage_seconds"] if own else {})
    stages.update(seconds)
    return {name: value for name, value in picture.items() if name not in _OF_PICTURE_ALONE} | {
        "key": spec.key,
        "picture_key": spec.picture.key,
        "run_id": spec.run_id,
        "job_id": spec.job.job_id,
        "outputs": {name: f"{spec.folder}/{path.name}" for name, path in outputs.items()},
        "poster": f"{spec.folder}/poster.jpg",
        "audio": has_audio,
        "notes": list(dict.fromkeys((*picture["notes"], *notes))),
        "stage_seconds": dict(stages),
        "code_version": __version__,
        "finished_at": datetime.now(UTC).isoformat(),
    }

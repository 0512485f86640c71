"""The film step: a picture, copied bit by bit, and its sound become the videos that are published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from catalogs.store.renders import Record, discard_render, find_record, record_key
from tasks import media
from tasks.media import AudioStream, VideoFormat, VideoMetadata
from tasks.media.fit import Fit, extend_picture
from tasks.media.languages import bcp_47
from tasks.media.subtitles import Subtitles, SubtitleTrack, subtitle_track
from tasks.steps.context import WorkerContext
from tasks.steps.films.sign import SignedFilm, sign_film
from tasks.steps.films.sound import Sound, find_sound, fit_notes, fit_picture, loudness_facts, prepared
from tasks.steps.films.subtitles import film_subtitles, write_sidecars
from tasks.steps.films.sync import MOUTH, measure_sound_and_sync, syncnet_facts
from tasks.steps.publish import publish, refuse_withdrawn, reusable_record
from tasks.steps.specs import FilmDone, FilmSpec, PictureSpec
from troupe import __version__
from troupe.errors import DamagedFile, FfmpegError
from troupe.files import file_sha256
from troupe.stopwatch import Stopwatch

__all__ = ["make_film"]

_OF_PICTURE_ALONE = ("checksum", "bytes", "files", "digest", MOUTH)


@dataclass(frozen=True)
class Film:
    """The written videos of a film.

    Attributes:
        outputs: local files by output, the main one first.
        sidecars: local files of subtitles.
        fit: how the picture fits the sound.
        facts: what is known of the sound and the subtitles.
        notes: what was chosen, converted, added or cut, for the user.
    """

    outputs: Mapping[str, Path]
    sidecars: list[Path]
    fit: Fit
    facts: Mapping[str, Any]
    notes: list[str]


def make_film(context: WorkerContext, spec: FilmSpec) -> FilmDone:
    """Join a picture with its sound and publish the videos, unless they are in the store.

    Raises:
        DamagedFile: the picture is missing or damaged; it is deleted, so that it can be rendered again.
        InputError: the sound or the subtitles are missing or unreadable, the sound does not fit the picture, or consent
            was withdrawn.
        SigningError: the videos cannot be signed; nothing is published.
        StoreError: the store failed; nothing half finished is visible.
    """
    if (finished := reusable_record(context, spec)) is not None:
        return FilmDone(reused=True, facts=finished)
    watch = Stopwatch()
    with context.scratch() as folder:
        with watch("fetch"):
            picture = _picture_record(context, spec.picture)
            files = _fetch_picture(context, spec.picture, picture, folder)
            sound = find_sound(context, spec.job, spec.picture.motion.track.clip, spec.audio)
        with watch("encode_video"):
            film = _write_film(context, spec, picture, files, sound, folder)
        signed = SignedFilm(film.outputs, files[picture["poster"]])
        if spec.signer:
            with watch("sign"):
                signed = sign_film(context, spec, signed, folder)
        facts = _facts(spec, picture, film, signed, watch.seconds)
        with watch("put"):
            context.check_inputs(*spec.inputs)
            refuse_withdrawn(context.store, spec.job)
            published = (*signed.outputs.values(), *signed.manifests.values(), *film.sidecars)
            written = {path.name: path for path in published} | {"poster.jpg": signed.poster}
            record, puts = publish(context.store, spec, written, facts)
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


def _write_film(
    context: WorkerContext,
    spec: FilmSpec,
    picture: Record,
    files: Mapping[str, Path],
    sound: Sound | None,
    folder: Path,
) -> Film:
    """Write all videos of the film, and the files of its subtitles."""
    rate, fit = Fraction(*picture["fps"]), fit_picture(spec, picture, sound)
    metadata = VideoMetadata(run_id=spec.run_id, job_id=spec.job.job_id, language=spec.job.language)
    notes = [] if sound is None else [*sound.notes, *fit_notes(fit, rate)]
    language = spec.job.language or (bcp_47(sound.audio.language) if sound is not None else "")
    subtitles: Subtitles | None = None
    if spec.subtitles is not None:
        length = picture["seconds"] + float(fit.extended_frames / rate)
        found, more = film_subtitles(context, spec.subtitles, spec.job, length)
        subtitles = found if found.cues else None
        notes += [*more, *_subtitle_notes(found)]
    outputs: dict[str, Path] = {}
    audios: dict[str, AudioStream] = {}  # by suffix: the videos of one format have the same sound
    for name, key in picture["outputs"].items():
        context.raise_if_cancelled()
        video_format = _video_format(spec, name, picture)
        source, seconds = files[key], picture["seconds"]
        if fit.extension:
            source, seconds, more = _extended(source, fit, rate, video_format)
            notes += more
        if sound is not None and video_format.suffix not in audios:
            normalised = folder / f"sound{video_format.suffix}.flac"
            audios[video_format.suffix], more = prepared(sound, spec, seconds, video_format, normalised)
            notes += more
        audio = audios.get(video_format.suffix)
        outputs[name] = folder / f"{name}{video_format.suffix}"
        track: SubtitleTrack | None = None
        if subtitles is not None:
            text = folder / f"track-{name}.srt"
            track = subtitle_track(subtitles, text, video_format, language=spec.job.subtitles_language or language)
        try:
            media.add_sound(source, outputs[name], audio, seconds, rate, metadata, video_format, track)
        except FfmpegError:
            if audio is not None:  # whose kinds of trouble have messages of their own
                media.fit_audio(audio, video_format)
            raise
    facts: dict[str, Any] = {"audio": sound is not None}
    sidecars: list[Path] = []
    if subtitles is not None:
        sidecars = list(write_sidecars(subtitles, folder))
        facts["subtitles"] = {path.suffix[1:]: f"{spec.folder}/{path.name}" for path in sidecars}
        facts["subtitles_language"] = spec.job.subtitles_language or language
    if sound is not None:
        facts["language"] = language
        main = next(iter(outputs.values()))
        loudness, sync, silent = measure_sound_and_sync(picture, fit, main)
        network, more = syncnet_facts(context, main)
        facts |= loudness_facts(loudness) | sync | network
        notes += [*silent, *more]
        notes += [] if loudness is None or spec.job.loudness is not None else loudness.notes
    if sound is not None and sound.seconds is not None:
        facts |= {
            "audio_seconds": float(sound.seconds),
            "fit": spec.job.fit,
            "audio_cut_seconds": float(fit.cut_seconds),
        }
    return Film(outputs, sidecars, fit, facts, list(dict.fromkeys(notes)))


def _subtitle_notes(subtitles: Subtitles) -> list[str]:
    """Return notes for the user about what the videos do not have of their subtitles."""
    if not subtitles.cues:
        return ["subtitles: none are within the video, which has neither a track nor files of them"]
    return ["subtitles: positions and styles are in the VTT file only"] if subtitles.styled else []


def _video_format(spec: FilmSpec, output: str, picture: Record) -> VideoFormat:
    """Return the format of one of the picture's videos."""
    master = media.master_format(spec.job.master) if output == "master" else None
    return master or media.h264(spec.job.quality, (picture["width"], picture["height"]))


def _extended(source: Path, fit: Fit, rate: Fraction, video_format: VideoFormat) -> tuple[Path, float, list[str]]:
    """Extend the picture; return the file, its length in seconds, and notes."""
    target, timing = source.with_stem(f"{source.stem}-extended"), media.timing_of(source)
    extended = extend_picture(source, target, fit, rate=rate, video_format=video_format, timing=timing)
    notes = ["picture: encoded again to extend it, as another encoder wrote it"] if extended.reencoded else []
    seconds = extended.info.seconds if extended.timing is None else extended.timing.seconds
    return target, seconds, notes


def _facts(
    spec: FilmSpec, picture: Record, film: Film, signed: SignedFilm, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the content of the film's `render.json`: what the picture's has, and what the film adds."""
    own = (picture["run_id"], picture["job_id"]) == (spec.run_id, spec.job.job_id)
    stages = Counter(picture["stage_seconds"] if own else {})
    stages.update(seconds)
    manifests = {name: f"{spec.folder}/{path.name}" for name, path in signed.manifests.items()}
    extended = float(film.fit.extended_frames / Fraction(*picture["fps"]))
    return {name: value for name, value in picture.items() if name not in _OF_PICTURE_ALONE} | {
        "key": spec.key,
        "picture_key": spec.picture.key,
        "watermark": picture.get("watermark", "off"),
        "run_id": spec.run_id,
        "job_id": spec.job.job_id,
        "outputs": {name: f"{spec.folder}/{path.name}" for name, path in signed.outputs.items()},
        **({"manifests": manifests} if manifests else {}),
        "poster": f"{spec.folder}/poster.jpg",
        "frames": film.fit.frames,
        "seconds": picture["seconds"] + extended,
        **film.facts,
        **signed.facts,
        "notes": list(dict.fromkeys((*picture["notes"], *film.notes, *signed.notes))),
        "stage_seconds": dict(stages),
        "code_version": __version__,
        "finished_at": datetime.now(UTC).isoformat(),
    }

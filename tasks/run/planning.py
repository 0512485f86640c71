"""The plan of a run: a spec with its keys for every job, which films exist already, and shards of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from catalogs.requests.content_hashes import ContentHashes, Input
from catalogs.retention.forget import ForgetList
from catalogs.store.error_text import reason
from catalogs.store.keys import make_key
from catalogs.store.renders import complete_record
from catalogs.store.store import Store
from models import weights
from models.weights import recogniser_file
from tasks.media.sandbox import Sandbox
from tasks.run.inputs.clip_lengths import ClipLengths, Length, frames_between
from tasks.run.inputs.traits import InputTraits, Role, Traits
from tasks.steps.publish import finished_record
from tasks.steps.specs import FilmSpec, MotionSpec, PictureSpec, PortraitSpec, TrackSpec
from troupe import Job, preset
from troupe.errors import Cancelled, InputError, TroupeError
from troupe.job import fitted_size
from troupe.signals import map_stoppable

__all__ = ["Plan", "PlannedJob", "Shard", "finished_films", "plan_jobs", "shards", "weights_fingerprint"]

_log = logging.getLogger(__name__)

VERSIONS = {"appearance": 1, "track": 2, "motion": 2, "picture": 1, "render": 2}
"""Step versions; raised when a step's result changes for the same inputs, so that old results are not reused."""

Shard: TypeAlias = tuple[FilmSpec, ...]
"""Specs that a step of the run does together: those of a few portraits."""

_THREADS = 16
_UNKNOWN_LENGTH: Length = (250, 25.0)
"""Frames and rate that are assumed for a clip whose headers have none."""
_BATCH = 256
"""Renders that are looked up at a time: each record may be some kB."""


@dataclass(frozen=True, slots=True)
class PlannedJob:
    """A job and what is known of it before any work; a planned job has either a spec or an error.

    Attributes:
        spec: what to render.
        error: why it cannot be rendered.
        portrait_hash, driving_hash: SHA-256 of the files, where they could be read.
        has_picture: whether the film's picture exists already; known once `finished_films` has looked it up.
        notes: what is damaged of its render.
    """

    job: Job
    spec: FilmSpec | None = None
    error: TroupeError | None = None
    portrait_hash: str = ""
    driving_hash: str = ""
    has_picture: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobTraits:
    """Traits of a job's inputs, as far as they change what its steps compute."""

    portrait: Traits
    clip: Traits
    sound: Traits


@dataclass(frozen=True)
class Plan:
    """The planned jobs of a run.

    Attributes:
        weights: fingerprint of the weights directory.
        jobs: in the order of the request.
    """

    run_id: str
    weights: str
    jobs: tuple[PlannedJob, ...]


def plan_jobs(
    run_id: str,
    jobs: Sequence[Job],
    store: Store,
    weights_directory: Path,
    detector: Path,
    dtype: str,
    raise_if_cancelled: Callable[[], None] = lambda: None,
) -> Plan:
    """Hash what the jobs depend on, and make their keys.

    A job that cannot be planned, for whatever reason of its own, is planned with its error; it does not affect the
    others.

    Args:
        run_id: name under which facts about the inputs are stored for later runs; empty stores none.
        raise_if_cancelled: called often; stops planning by raising.

    Raises:
        WeightsError: the weights directory or the detector cannot be used.
        StoreError: the store cannot be read.
    """
    with Sandbox(raise_if_cancelled) as sandbox:
        lengths, clips = ClipLengths(store, sandbox, raise_if_cancelled), {job.driving for job in jobs}
        traits, roles = (
            InputTraits(store, sandbox, raise_if_cancelled),
            {(role, uri) for job in jobs for role, uri in _roles(job)},
        )

        def measure(uri: str, content: str, path: Path) -> None:
            if uri in clips:
                lengths.measure(content, path)
            for role in ("picture", "clip"):
                if (role, uri) in roles:
                    traits.read(role, content, path)

        hashes = ContentHashes(store, measure, raise_if_cancelled)
        fingerprint = weights_fingerprint(weights_directory, hashes)
        recogniser = recogniser_file(weights_directory)
        face_networks = {
            "detector": hashes.of(str(detector)),
            # A missing one is reported by the loader, with all other problems of the directory.
            "recogniser": hashes.of(str(recogniser)) if recogniser.is_file() else "",
        }
        contents = hashes.of_many({uri for job in jobs for uri in _uris(job)})
        known = {content: uri for uri in clips if isinstance(content := contents[uri], str)}
        clip_lengths = lengths.of_many(known)
        readable = [(role, content, uri) for role, uri in roles if isinstance(content := contents[uri], str)]
        contents |= traits.read_many(readable)
    if run_id:
        traits.save(run_id)
        hashes.save(run_id)
        lengths.save(run_id)
    forget_list = ForgetList(store)
    shared: dict[Any, Any] = {}

    def plan_job(job: Job) -> PlannedJob:
        found = {uri: contents[uri] for uri in _uris(job)}
        hashed = {uri: value for uri, value in found.items() if isinstance(value, str)}
        portrait, driving = hashed.get(job.portrait, ""), hashed.get(job.driving, "")
        unreadable = next((value for value in found.values() if isinstance(value, TroupeError)), None)
        error = unreadable or forget_list.refusal(job.identity, portrait) or lengths.unreadable(driving)
        spec = None
        if error is None:
            length = clip_lengths.get(driving, _UNKNOWN_LENGTH)
            try:
                inputs = {uri: hashes.input(uri, content) for uri, content in hashed.items()}
                found_traits = JobTraits(*(traits.of(role, hashed[uri]) for role, uri in _roles(job)))
                spec = _spec(run_id, job, inputs, fingerprint, face_networks, dtype, length, shared, found_traits)
            except Exception as problem:  # whatever is wrong with one job must not end the run
                error = InputError(f"the job cannot be planned: {reason(problem)}; correct its row")
        return PlannedJob(job, spec, error, portrait, driving)

    planned: list[PlannedJob] = []
    for job in jobs:
        raise_if_cancelled()
        planned.append(plan_job(job))
    return Plan(run_id, fingerprint, tuple(planned))


def finished_films(
    store: Store,
    jobs: Iterable[PlannedJob],
    raise_if_cancelled: Callable[[], None] = lambda: None,
    *,
    complete: bool = False,
) -> Iterator[tuple[PlannedJob, dict[str, Any] | None]]:
    """Yield each job with the record of its film where that exists already.

    Args:
        raise_if_cancelled: called often; once it raises Cancelled, that is the error of the remaining jobs.
        complete: whether to add digests to records of earlier versions; otherwise the store is only read.

    Raises:
        StoreError: the store cannot be read, or a record cannot be completed.
    """

    pictures: dict[str, bool] = {}

    def has_picture(spec: PictureSpec) -> bool:
        if spec.key not in pictures:
            pictures[spec.key] = finished_record(store, spec, _log.warning) is not None
        return pictures[spec.key]

    def cancelled(planned: PlannedJob, error: Cancelled) -> tuple[PlannedJob, None]:
        return replace(planned, spec=None, error=planned.error or error), None

    def look_up(planned: PlannedJob) -> tuple[PlannedJob, dict[str, Any] | None]:
        if planned.spec is None:
            return planned, None
        try:
            raise_if_cancelled()
        except Cancelled as error:
            return cancelled(planned, error)
        notes: list[str] = []
        record = finished_record(store, planned.spec, notes.append)
        if record is not None and complete:
            record = complete_record(store, record)
        for note in notes:
            _log.warning(note)
        if record is None:
            planned = replace(planned, has_picture=has_picture(planned.spec.picture))
        return replace(planned, notes=tuple(notes)) if notes else planned, record

    jobs = iter(jobs)
    while batch := list(islice(jobs, _BATCH)):
        try:
            # One small read per job, most of it waiting.
            found = map_stoppable(look_up, batch, raise_if_cancelled, _THREADS)
        except Cancelled as error:
            found = [cancelled(planned, error) for planned in batch]
        yield from found


def shards(specs: Iterable[FilmSpec], most: int = 200, at_once: int = 4, enough: int = 8) -> tuple[Shard, ...]:
    """Group specs into shards of about the same size, those of one portrait together.

    Args:
        most: maximum number of shards.
        at_once: number of shards that are worked on at a time.
        enough: number of jobs that keep all workers busy for a while; smaller shards are only made to have `at_once`.
    """
    by_portrait: dict[str, list[FilmSpec]] = {}
    for spec in specs:
        by_portrait.setdefault(spec.picture.portrait.key, []).append(spec)
    jobs = sum(map(len, by_portrait.values()))
    count = min(most, len(by_portrait), max(at_once, jobs // enough))
    groups: list[list[FilmSpec]] = [[] for _ in range(count)]
    for members in sorted(by_portrait.values(), key=len, reverse=True):
        min(groups, key=len).extend(members)
    return tuple(tuple(group) for group in groups)


def weights_fingerprint(directory: Path, hashes: ContentHashes) -> str:
    """Return one hash of all files of the model, of their real content whatever notes they carry."""
    parts = {
        str(path.relative_to(directory).with_suffix("")): hashes.of(str(path))
        for path in weights.model_files(directory)
    }
    return make_key("weights", parts=parts)


def _roles(job: Job) -> list[tuple[Role, str]]:
    """Return the role and URI of a job's portrait, clip, and file of sound."""
    return [("picture", job.portrait), ("clip", job.driving), ("clip", _sound(job) or job.driving)]


def _sound(job: Job) -> str:
    return job.audio if job.audio not in ("driving", "none") else ""


def _uris(job: Job) -> list[str]:
    return [
        job.portrait,
        job.driving,
        *([job.tracks] if job.tracks else []),
        *([sound] if (sound := _sound(job)) else []),
    ]


def _spec(
    run_id: str,
    job: Job,
    inputs: Mapping[str, Input],
    fingerprint: str,
    face_networks: Mapping[str, str],
    dtype: str,
    length: Length,
    shared: dict[Any, Any],
    traits: JobTraits,
) -> FilmSpec:
    settings = replace(preset(job.preset), seed=job.seed)
    portrait = PortraitSpec(
        key=make_key(
            "appearance",
            version=VERSIONS["appearance"],
            portrait=inputs[job.portrait].sha256,
            face=job.face.text,
            detector=face_networks["detector"],
            weights=fingerprint,
            **_some(traits.portrait, "colour"),
        ),
        picture=inputs[job.portrait],
        face=job.face,
    )
    seen_by = {"tracks": inputs[job.tracks].sha256} if job.tracks else {**face_networks, "face": job.driving_face.text}
    part = {"clip": inputs[job.driving].sha256, "start": job.start, "end": job.end, "fps": str(job.fps or "")}
    part |= _some(traits.clip, "video", "interlaced", "colour")
    part |= {"video": job.video_track} if job.video_track else {}
    track = TrackSpec(
        key=make_key("track", version=VERSIONS["track"], **part, gaps=job.gaps, **seen_by),
        clip=inputs[job.driving],
        start=job.start,
        end=job.end,
        fps=job.fps,
        face=job.driving_face,
        gaps=job.gaps,
        tracks=inputs.get(job.tracks),
        frames=frames_between(length, job.start, job.end),
        video_track=job.video_track,
    )
    motion = MotionSpec(
        key=make_key("motion", version=VERSIONS["motion"], **part, track=track.key, crop=job.crop, weights=fingerprint),
        track=track,
        crop=job.crop,
    )
    audio = inputs[sound] if (sound := _sound(job)) else None
    seen = {
        "appearance": portrait.key,
        "motion": motion.key,
        "settings": asdict(settings),
        "dtype": dtype,
        "output": job.output,
        "blend": job.blend,
        "quality": job.quality,
        "master": job.master,
        **_size_part(job, traits.portrait),
    }
    heard = {"audio": audio.sha256 if audio is not None else job.audio, "language": job.language}
    heard |= _sound_part(job, traits)
    # Jobs have most of their parts in common: kept once, they take a fraction of the memory.
    portrait, motion = shared.setdefault(portrait, portrait), shared.setdefault(motion, motion)
    settings = shared.setdefault(settings, settings)
    picture_key = make_key("picture", version=VERSIONS["picture"], **seen)
    picture = shared.setdefault(picture_key, PictureSpec(picture_key, run_id, job, portrait, motion, settings))
    # Named after the render that earlier versions made at once, so that theirs are reused.
    return FilmSpec(make_key("render", version=VERSIONS["render"], **seen, **heard), run_id, job, picture, audio)


def _sound_part(job: Job, traits: JobTraits) -> dict[str, Any]:
    """Return the track of the sound, unless it is the first one, which earlier versions used."""
    if job.audio == "none":
        return {}
    track = job.audio_track or traits.sound.get("audio", "")
    return {"audio_track": track} if track else {}


def _size_part(job: Job, portrait: Traits) -> dict[str, Any]:
    """Return the size that the portrait is scaled down to, if it is: other renders keep the key that they had."""
    if job.output == "crop" or "width" not in portrait:
        return {}
    source = portrait["width"], portrait["height"]
    size = fitted_size(job.size, *source)
    return {"size": size} if size != source else {}


def _some(traits: Traits, *names: str) -> dict[str, Any]:
    return {name: traits[name] for name in names if name in traits}

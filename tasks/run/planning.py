"""The plan of a run: a spec with its keys for every job, which films exist already, and shards of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from catalogs.requests.access.content_hashes import ContentHashes
from catalogs.requests.access.input_policy import PUBLIC, InputPolicy
from catalogs.retention.store_rules import StoreRules
from catalogs.store.error_text import reason
from catalogs.store.keys import make_key
from catalogs.store.renders import Record, complete_record
from catalogs.store.store import Store
from models.face_files import recogniser_file
from models.weight_files import model_files
from tasks.media.sandbox import Sandbox
from tasks.media.watermark import load_key
from tasks.run.inputs.clip_lengths import ClipLengths, Length
from tasks.run.inputs.permitted_faces import PermittedFaces, PortraitCheck
from tasks.run.inputs.subtitle_files import SubtitleFiles
from tasks.run.inputs.traits import InputTraits
from tasks.run.job_spec import JobTraits, make_spec, misfit, roles_of, track_error, uris_of
from tasks.steps.publish import finished_record
from tasks.steps.specs import FilmSpec, PictureSpec
from tasks.weights.shipped import MINIATURE_NOTE, is_miniature
from troupe import Job, preset
from troupe.errors import Cancelled, InputError, StoreError, TroupeError
from troupe.process.signals import map_stoppable

__all__ = ["Plan", "PlannedJob", "Shard", "finished_films", "plan_jobs", "shards", "weights_fingerprint"]

_log = logging.getLogger(__name__)

Shard: TypeAlias = tuple[FilmSpec, ...]
"""Specs that a step of the run does together: those of a few portraits."""

NOT_MARKED = "watermark: none, because an earlier version made the film; use `--watermark required` to render it again"
STILL = "driving: a single picture, so the video has one frame; if portrait and driving are swapped, swap them back"
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
        notes: what to know of its render: the model's limits, what is damaged, and what its permission does not cover.
        flagged: that the portrait shows another person than its permission, in words.
        consent_similarity: cosine of the portrait's face and the permission's; None if they were not compared.
    """

    job: Job
    spec: FilmSpec | None = None
    error: TroupeError | None = None
    portrait_hash: str = ""
    driving_hash: str = ""
    has_picture: bool = False
    notes: tuple[str, ...] = ()
    flagged: str = ""
    consent_similarity: float | None = None


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
    policy: InputPolicy = PUBLIC,
    signer: str = "",
    *,
    require_consent: bool = False,
) -> Plan:
    """Hash what the jobs depend on, and make their keys.

    A job that cannot be planned, for whatever reason of its own, is planned with its error; it does not affect the
    others.

    Args:
        run_id: name under which facts about the inputs are stored for later runs; empty stores none.
        raise_if_cancelled: called often; stops planning by raising.
        policy: which inputs may be read.
        signer: key of the run's signer; empty for none.
        require_consent: whether the run asks for permissions, as the policy of the store may do anyway.

    Raises:
        WeightsError: the weights directory or the detector cannot be used, or jobs need a voice or a
            distilled denoiser that it does not have.
        StoreError: the store cannot be read.
    """
    files = {uri for job in jobs for uri in uris_of(job)}
    with Sandbox(raise_if_cancelled, len(files)) as sandbox:
        lengths, clips = ClipLengths(store, sandbox, raise_if_cancelled, policy), {job.driving for job in jobs}
        traits, roles = (
            InputTraits(store, sandbox, raise_if_cancelled, policy),
            {(role, uri) for job in jobs for role, uri in roles_of(job)},
        )

        def measure(uri: str, content: str, path: Path) -> Callable[[], None]:
            found = [lengths.measure(content, path)] if uri in clips else []
            sorts = ("picture", "clip", "sound", "tracks")
            found += [traits.read(role, content, path) for role in sorts if (role, uri) in roles]

            def remember() -> None:
                for one in found:
                    one()

            return remember

        hashes = ContentHashes(store, measure, raise_if_cancelled)
        fingerprint = weights_fingerprint(weights_directory, hashes)
        recogniser = recogniser_file(weights_directory)
        face_networks = {
            "detector": hashes.of(str(detector)),
            # A missing one is reported by the loader, with all other problems of the directory.
            "recogniser": hashes.of(str(recogniser)) if recogniser.is_file() else "",
        }
        contents = hashes.of_many(files, policy)
        known = {content: uri for uri in clips if isinstance(content := contents[uri], str)}
        clip_lengths = lengths.of_many(known, hashes)
        readable = [(role, content, uri) for role, uri in roles if isinstance(content := contents[uri], str)]
        contents |= traits.read_many(readable, hashes)
        subtitles = SubtitleFiles(jobs, contents, hashes, policy, raise_if_cancelled)
    if run_id:
        traits.save(run_id)
        hashes.save(run_id)
        lengths.save(run_id)
    rules = StoreRules(store, require_consent=require_consent)
    faces = PermittedFaces(store, detector, recogniser, face_networks, hashes, policy)
    notes = (MINIATURE_NOTE,) if is_miniature(weights_directory) else ()
    watermark = load_key().id
    voice = ""
    if any(job.lips == "sound" for job in jobs):
        from models.weights import require_voice  # imports torch

        voice = hashes.of(str(require_voice(weights_directory)))
    inputs = {uri: hashes.input(uri, content) for uri, content in contents.items() if isinstance(content, str)}
    distilled = ""
    if any(preset(job.preset).distilled for job in jobs):
        from models.weights import require_distilled  # imports torch

        distilled = hashes.of(str(require_distilled(weights_directory)))
    shared: dict[Any, Any] = {}

    planned: list[PlannedJob] = []
    for job in map(rules.governed, jobs):
        raise_if_cancelled()
        found = {uri: contents[uri] for uri in uris_of(job)}
        hashed = {uri: value for uri, value in found.items() if isinstance(value, str)}
        portrait, driving = hashed.get(job.portrait, ""), hashed.get(job.driving, "")
        problems = [value for value in found.values() if isinstance(value, TroupeError)]
        shown = PortraitCheck()
        try:
            shown = faces.check(job, rules.permission(job), portrait)
        except (InputError, StoreError) as problem:
            problems.append(problem)
        problems += filter(
            None,
            (rules.refusal(job, portrait, shown.objection), traits.unreadable(portrait), lengths.unreadable(driving)),
        )
        usable = not problems
        problems += filter(None, [subtitles.problem(job)])
        spec = None
        if usable:
            known_length = clip_lengths.get(driving)
            length = known_length or _UNKNOWN_LENGTH
            try:
                found_traits = JobTraits(*(traits.of(role, hashed[uri]) for role, uri in roles_of(job)))
                if unusable := track_error(job, found_traits) or misfit(job, known_length, found_traits):
                    problems.append(unusable)
                if not problems:
                    spec = make_spec(
                        run_id,
                        job,
                        inputs,
                        fingerprint,
                        face_networks,
                        dtype,
                        length,
                        shared,
                        found_traits,
                        signer,
                        watermark,
                        voice,
                        distilled,
                    )
            except InputError as problem:
                problems.append(problem)
            except Exception as problem:  # whatever is wrong with one job must not end the run
                problems.append(InputError(f"the job cannot be planned: {reason(problem)}; correct its row"))
        still = STILL if clip_lengths.get(driving, _UNKNOWN_LENGTH)[0] == 1 else ""
        own = () if problems else (*notes, *filter(None, [still, rules.note(job, shown.objection)]))
        planned.append(
            PlannedJob(
                job,
                spec,
                _together(problems),
                portrait,
                driving,
                notes=own,
                flagged=shown.objection if shown.other_person else "",
                consent_similarity=shown.similarity,
            )
        )
    if run_id:
        faces.save(run_id)
    return Plan(run_id, fingerprint, tuple(planned))


def _together(problems: Sequence[TroupeError]) -> TroupeError | None:
    """Return the problems of a job as one error, of the first one's kind; None if there are none."""
    if len(problems) < 2:
        return problems[0] if problems else None
    return type(problems[0])("; ".join(dict.fromkeys(map(str, problems))))


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
        spec = planned.spec
        record = finished_record(store, spec, notes.append)
        if record is None and (earlier := _before_watermarks(store, planned)) is not None:
            planned, record = earlier
        if record is not None and complete:
            record = complete_record(store, record)
        for note in notes:
            _log.warning(note)
        if record is None:
            planned = replace(planned, has_picture=has_picture(spec.picture))
        return replace(planned, notes=(*planned.notes, *notes)) if notes else planned, record

    jobs = iter(jobs)
    while batch := list(islice(jobs, _BATCH)):
        try:
            # One small read per job, most of it waiting.
            found = map_stoppable(look_up, batch, raise_if_cancelled, _THREADS)
        except Cancelled as error:
            found = [cancelled(planned, error) for planned in batch]
        yield from found


def _before_watermarks(store: Store, planned: PlannedJob) -> tuple[PlannedJob, Record] | None:
    """Return the job with the film that a version without watermarks made of it, and the film's record.

    None if there is none. A film that was made without a watermark on request is not one of these: its record says so.
    """
    spec = planned.spec
    if spec is None or spec.unmarked is None:
        return None
    film, picture = spec.unmarked
    earlier = replace(spec, key=film, picture=replace(spec.picture, key=picture, watermark=""), unmarked=None)
    record = finished_record(store, earlier, _log.warning)
    if record is None or "watermark" in record:
        return None
    return replace(planned, spec=earlier, notes=(*planned.notes, NOT_MARKED)), record


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
    parts = {str(path.relative_to(directory).with_suffix("")): hashes.of(str(path)) for path in model_files(directory)}
    return make_key("weights", parts=parts)

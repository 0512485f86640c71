"""The plan of a run: a spec with its keys for every job, which films exist already, and shards of the others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeAlias

from catalogs.requests.columns import label_note
from catalogs.retention.store_rules import StoreRules
from catalogs.store.error_text import reason
from catalogs.store.renders import Record, complete_record
from catalogs.store.store import Store
from tasks.media.sandbox import Sandbox
from tasks.media.watermark import load_key
from tasks.run.inputs.job_inputs import JobInputs
from tasks.run.inputs.model import Model
from tasks.run.inputs.permitted_faces import PermittedFaces, PortraitCheck
from tasks.run.inputs.traits import SWAPPED
from tasks.run.job_spec import SpecMaker, misfit, track_error, uris_of
from tasks.run.policy import RunPolicy
from tasks.steps.publish import finished_record
from tasks.steps.specs import FilmSpec, PictureSpec
from tasks.weights.shipped import MINIATURE_NOTE, is_miniature
from troupe import Job
from troupe.errors import Cancelled, InputError, StoreError, TroupeError
from troupe.process.signals import map_stoppable

__all__ = ["Plan", "PlannedJob", "Shard", "finished_films", "plan_jobs", "shards"]

_log = logging.getLogger(__name__)

Shard: TypeAlias = tuple[FilmSpec, ...]
"""Specs that a step of the run does together: those of a few portraits."""

NOT_MARKED = "watermark: none, because an earlier version made the film; use `--watermark required` to render it again"
STILL = f"driving: a single picture, so the video has one frame; {SWAPPED}"
_THREADS = 16
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
        uncovered: whether its permission does not cover it, as one of the notes says.
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
    uncovered: bool = False


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
    model: Model,
    policy: RunPolicy,
    raise_if_cancelled: Callable[[], None] = lambda: None,
) -> Plan:
    """Hash what the jobs depend on, and make their keys.

    A job that cannot be planned, for whatever reason of its own, is planned with its error; it does not affect the
    others.

    Args:
        run_id: name under which facts about the inputs are stored for later runs; empty stores none.
        model: the model of the run.
        policy: what the run has to keep to.
        raise_if_cancelled: called often; stops planning by raising.

    Raises:
        WeightsError: the model cannot be used, or has no voice or distilled denoiser, which jobs need.
        StoreError: the store cannot be read.
    """
    with Sandbox(raise_if_cancelled, len({uri for job in jobs for uri in uris_of(job)})) as sandbox:
        inputs = JobInputs(jobs, store, sandbox, policy.inputs, raise_if_cancelled)
        hashed = model.hashed(jobs, inputs.hashes)
        inputs.read()
    if run_id:
        inputs.save(run_id)
    rules = StoreRules(store, policy.store, require_consent=policy.require_consent)
    faces = PermittedFaces(store, model, hashed, inputs.hashes, policy.inputs)
    specs = SpecMaker(run_id, inputs.readable, hashed, policy.signer, load_key().id)
    notes = (MINIATURE_NOTE,) if is_miniature(model.weights) else ()
    planned: list[PlannedJob] = []
    for job in map(rules.governed, jobs):
        raise_if_cancelled()
        planned.append(_planned(job, inputs, rules, faces, specs, notes))
    if run_id:
        faces.save(run_id)
    return Plan(run_id, hashed.weights, tuple(planned))


def _planned(
    job: Job, inputs: JobInputs, rules: StoreRules, faces: PermittedFaces, specs: SpecMaker, notes: tuple[str, ...]
) -> PlannedJob:
    portrait = inputs.sha256(job.portrait)
    problems, shown, spec = inputs.problems(job), PortraitCheck(), None
    try:
        shown = faces.check(job, rules.permission(job), portrait)
    except (InputError, StoreError) as problem:
        problems.append(problem)
    problems += [*filter(None, [rules.refusal(job, portrait, shown.objection)]), *inputs.unreadable(job)]
    problems += filter(None, [inputs.range_problem(job)])
    usable = not problems
    problems += filter(None, [inputs.subtitles_problem(job)])
    if usable:
        try:
            traits = inputs.traits(job)
            problems += filter(None, [track_error(job, traits) or misfit(job, traits)])
            if not problems:
                spec = specs.make(job, traits)
        except InputError as problem:
            problems.append(problem)
        except Exception as problem:  # whatever is wrong with one job must not end the run
            problems.append(InputError(f"the job cannot be planned: {reason(problem)}; correct its row"))
    still = STILL if inputs.is_still(job) else ""
    uncovered = rules.note(job, shown.objection)
    own = [still, inputs.range_note(job), label_note(job.label), uncovered]
    return PlannedJob(
        job,
        spec,
        _together(problems),
        portrait,
        inputs.sha256(job.driving),
        notes=() if problems else (*notes, *filter(None, own)),
        flagged=shown.objection if shown.other_person else "",
        consent_similarity=shown.similarity,
        uncovered=not problems and uncovered is not None,
    )


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

"""The check of a request before anything expensive: no network is imported, no process is started."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial

from catalogs.requests.access.input_policy import allowed_entries
from catalogs.review.rules import parse_rules
from catalogs.store import uris
from catalogs.store.policy import StorePolicy
from catalogs.store.store import open_store
from catalogs.table.check import check_store
from models.face_files import check_detector, detector_file
from tasks.quality.thresholds import Thresholds
from tasks.run.request import Request
from tasks.weights.local_copy import local_file, local_weights
from troupe import Job, preset
from troupe.checks import check_all
from troupe.errors import BadJob, SettingsError, TroupeError

__all__ = ["check_distilled", "check_request", "model_checks"]

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_DTYPES = ("auto", "float32", "bfloat16", "float16")


def check_request(request: Request, *, write: bool = True) -> None:
    """Check the request as far as that takes a moment. All problems are reported together.

    Weights in a bucket are fetched, and the store is written to, only where there is no other problem.

    Args:
        write: whether the store is going to be written to.

    Raises:
        TroupeError: the only problem.
        SettingsError: several problems.
    """
    checks: list[Callable[[], object]] = [
        lambda: _check_jobs(request),
        lambda: Thresholds(request.min_identity, request.max_quality, request.fail_quality),
        *model_checks(request.weights, request.detector, request.device, request.dtype),
        lambda: allowed_entries(request.allow_input),
        lambda: _check_signer(request),
        lambda: _check_syncnet(request),
    ]
    check_all(checks, lambda: _check_store(request, write=write))


def _check_jobs(request: Request) -> None:
    """Check the jobs and what they need; where that is missing, files that do not exist are reported as well."""
    jobs: Sequence[Job]
    invalid: BadJob | None = None
    try:
        jobs = request.job_list
    except BadJob as error:  # which lists missing files itself
        invalid, jobs = error, error.jobs

    def check_rows() -> None:
        if invalid is not None:
            raise invalid

    checks: list[Callable[[], object]] = [
        check_rows,
        partial(check_marks, jobs),
        partial(check_voice, request.weights, jobs),
        partial(check_distilled, request.weights, {job.preset for job in jobs}),
    ]

    def missing_files(known: Sequence[str]) -> list[str]:
        with suppress(TroupeError):  # of the store, which is read only where all else is right
            return request.missing_files(known)
        return []

    check_all(checks, otherwise=(lambda _: ()) if invalid else missing_files)


def check_marks(jobs: Iterable[Job]) -> None:
    """Check that the watermark key can be loaded and that the labels can be drawn, as far as jobs need them.

    Raises:
        SettingsError: one cannot; all problems are reported together.
    """
    from tasks.media.label import label_problem, label_text
    from tasks.media.watermark import load_key

    def check(text: str) -> None:
        if problem := label_problem(text):
            raise SettingsError(f"label {text!r}: {problem}")

    texts = {label_text(job.label, job.language) for job in jobs} - {""}
    marked = any(job.watermark != "off" for job in jobs)
    check_all([load_key] * marked + [partial(check, text) for text in sorted(texts)])


def check_voice(weights: str, jobs: Iterable[Job]) -> None:
    """Check that a local weights directory has a voice, if the lips of a job follow its sound.

    Raises:
        WeightsError: it has none that can be used.
    """
    if uris.local_path(weights) is None or all(job.lips != "sound" for job in jobs):
        return
    from models.weights import require_voice

    require_voice(local_weights(weights))


def check_distilled(weights: str, presets: Iterable[str]) -> None:
    """Check that a local weights directory has a distilled denoiser, if one of the presets needs it.

    Raises:
        WeightsError: it has none that can be used.
        SettingsError: a preset is unknown.
    """
    if uris.local_path(weights) is None or not any(preset(name).distilled for name in presets):
        return
    from models.weights import require_distilled

    require_distilled(local_weights(weights))


def model_checks(weights: str, detector: str | None, device: str, dtype: str) -> list[Callable[[], object]]:
    """Return the checks of a model and of the device that it runs on."""
    local = uris.local_path(weights) is not None
    return [
        lambda: _check_device(device),
        lambda: _check_dtype(dtype),
        lambda: local_weights(weights) if local else None,
        lambda: _check_detector(weights, detector),
    ]


def _check_signer(request: Request) -> None:
    request.signing_key(StorePolicy())
    if request.signer is not None:
        request.signer.check()


def _check_syncnet(request: Request) -> None:
    if request.syncnet is None:
        return
    from torch import device

    from tasks.quality.syncnet import SyncNet

    SyncNet(local_file(uris.from_here(request.syncnet)), device("cpu"))


def _check_store(request: Request, *, write: bool) -> None:
    store = open_store(request.store)
    if write:
        check_store(store)
    label = request.store_policy.label
    _ = request.allowed_inputs
    parse_rules(request.store_policy.review)
    request.signing_key(request.store_policy)
    languages = {job.language for job in request.job_list} if label != "none" else set()
    check_marks([Job("", "", "", label=label, language=language) for language in languages])


def _check_detector(weights: str, detector: str | None) -> None:
    if detector:
        check_detector(local_file(detector))
    elif uris.local_path(weights) is not None:
        detector_file(local_weights(weights))


def _check_device(device: str) -> None:
    if not _DEVICE.fullmatch(device):
        raise SettingsError(f"invalid device {device!r}; use auto, cpu, cuda or cuda:N")


def _check_dtype(dtype: str) -> None:
    if dtype not in _DTYPES:
        raise SettingsError(f"invalid dtype {dtype!r}; use {', '.join(_DTYPES)}")

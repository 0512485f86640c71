"""The check of a request before anything expensive: no network is imported, no process is started."""

from __future__ import annotations

import re
from collections.abc import Callable

from catalogs.store import uris
from catalogs.store.store import open_store
from catalogs.table.check import check_store
from models.face_files import detector_file
from tasks.quality.thresholds import Thresholds
from tasks.run.request import Request
from tasks.weights.local_copy import local_file, local_weights
from troupe.errors import SettingsError, TroupeError

__all__ = ["check_request"]

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
    weights, detector = request.weights, request.detector
    local = uris.local_path(weights) is not None
    checks: list[Callable[[], object]] = [
        lambda: request.job_list,
        lambda: Thresholds(request.min_identity, request.max_quality, request.fail_quality),
        lambda: _check_device(request.device),
        lambda: _check_dtype(request.dtype),
        lambda: local_weights(weights) if local else None,
        lambda: local_file(detector) if detector else detector_file(local_weights(weights)) if local else None,
    ]
    problems = [problem for check in checks if (problem := _problem(check)) is not None]
    if write and not problems and (problem := _problem(lambda: check_store(open_store(request.store)))) is not None:
        problems.append(problem)
    messages = list(dict.fromkeys(map(str, problems)))
    if len(messages) == 1:
        raise problems[0]
    if messages:
        raise SettingsError(f"the request has {len(messages)} problems:", messages)


def _problem(check: Callable[[], object]) -> TroupeError | None:
    try:
        check()
    except TroupeError as error:
        return error
    return None


def _check_device(device: str) -> None:
    if not _DEVICE.fullmatch(device):
        raise SettingsError(f"invalid device {device!r}; use auto, cpu, cuda or cuda:N")


def _check_dtype(dtype: str) -> None:
    if dtype not in _DTYPES:
        raise SettingsError(f"invalid dtype {dtype!r}; use {', '.join(_DTYPES)}")

"""Names in a store.

cache/appearance/<key>.{safetensors, jpg}    cache/motion/<key>.{safetensors, jpg}    cache/tracks/<key>.parquet
cache/hashes/<run_id>.parquet
renders/<key>/{full.mp4, crop.mp4, poster.jpg, render.json}
catalog/                              the Delta table
runs/<run_id>/{request.parquet, manifest.parquet, parts/NNNNN.parquet, report/index.html}
evaluations/<run_id>/{jobs.jsonl, portraits/, clips.parquet, summary.md}
tombstones/<hash of an identity>.json
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from troupe.errors import SettingsError

__all__ = ["ID", "canonical", "make_key", "run_key", "valid_id"]

ID = "letters, digits, '.', '_' and '-', at most 128 of them"
"""What a run_id and a job_id may hold, in words."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def make_key(kind: str, **parts: Any) -> str:
    """A name for the outcome of a step: the same parts give the same 32 hex digits, any other part others.

    Args:
        kind: of the outcome, such as `motion`.
        parts: everything it depends on: text, numbers, booleans, None, and lists and dictionaries of these.

    Raises:
        TypeError, ValueError: a part is something else, or not finite.
    """
    return hashlib.sha256(canonical({"kind": kind, "parts": parts}).encode()).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted names, no spaces, ASCII.

    Raises:
        TypeError, ValueError: the value is not JSON.
    """
    _check_names(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def run_key(run_id: str, name: str) -> str:
    """The key of a run's file.

    Raises:
        SettingsError: the run_id cannot be part of a key.
    """
    if not valid_id(run_id):
        raise SettingsError(f"run_id is {run_id!r}; use {ID}")
    return f"runs/{run_id}/{name}"


def valid_id(text: str) -> bool:
    """Whether this can name a run or a job: also as a file's name, so not `.` and `..`."""
    return bool(_ID.fullmatch(text)) and text.strip(".") != ""


def _check_names(value: Any) -> None:
    """JSON would turn the name 1 into "1", and two different keys into one."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise TypeError(f"a part of a key is named {name!r}; names are text")
            _check_names(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_names(inner)

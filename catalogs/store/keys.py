"""Keys of the files in a store.

cache/appearance/<key>.{safetensors, jpg, sha256}   encoded portraits, with thumbnails and digests
cache/motion/<key>.{safetensors, jpg, sha256}       encoded driving clips, with thumbnails and digests
cache/tracks/<key>.{parquet, sha256}                tracks, with digests
cache/hashes/<run_id>.sha256-<digest>.parquet       content hashes of inputs
cache/lengths/<run_id>.sha256-<digest>.json         lengths of driving clips, by content hash
cache/traits/<run_id>.sha256-<digest>.json          tracks, colours and size of inputs, by content hash
cache/faces/<run_id>.sha256-<digest>.json           how similar portraits are to the faces in permissions, by hash
cache/pictures/<key>/                               pictures: videos without sound, in the same files as a render's
renders/<key>/{full.mp4, crop.mp4, master.*}        films; the master in a lossless or editing format, if requested
renders/<key>/subtitles.{vtt, srt}                  the film's subtitles, if it has any
renders/<key>/{poster.jpg, render.json}             poster, and the record, whose presence makes the film complete
catalog/                                            the Delta table of all jobs
exports/<time>-<hex>.parquet                         the videos of an export, and where they went
runs/<run_id>/run.json                              state and heartbeat of a run
runs/<run_id>/{request.parquet, manifest.parquet}   its jobs, and the outcome of each
runs/<run_id>/parts/NNNNN.parquet                   its rows, where deltalake does not support the store
runs/<run_id>/report/index.html                     its report
evaluations/<run_id>/{jobs.jsonl, portraits/, clips.parquet, summary.md}
tombstones/<hash of an identity or a portrait>.json entries of the forget list
consent/permissions/<hash of a reference>.json      permissions of the people shown
consent/revoked/<hash of a reference>.json          revocations; never removed
audit/<number>.json                                 the audit log, each entry with the hash of the one before it
events/endpoints/<name>.json                        webhooks: URL, types, and where their secret is
events/state/<name>.json                            how far each of them is
policy.toml                                         what every run has to keep to
decisions/, claims/                                 what reviewers decided, and who looks at what
review/reasons.json                                 the reasons from which reviewers choose when they reject
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any

from troupe.errors import SettingsError

__all__ = [
    "ID",
    "ID_BYTES",
    "JOB_ID",
    "canonical",
    "encode_parts",
    "is_id_character",
    "join_parts",
    "key_of",
    "make_key",
    "run_key",
    "valid_id",
    "valid_job_id",
]

ID = "letters, digits, '.', '_' and '-', at most 128 of them"
"""The valid characters and length of a run_id, which is part of keys, for messages."""
ID_BYTES = 128
"""Maximum length of a job_id in UTF-8: file names are made from it."""
JOB_ID = f"letters and digits of any script, '.', '_' and '-', at most {ID_BYTES} bytes"
"""The valid characters and length of a job_id, for messages."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def make_key(kind: str, **parts: Any) -> str:
    """Return the content key of a step's result: 32 hex digits, the same for equal parts and no others.

    Args:
        kind: kind of the result, such as `motion`.
        parts: everything the result depends on: text, numbers, booleans, None, and lists and dictionaries of these.

    Raises:
        TypeError, ValueError: a part is something else, or not finite.
    """
    return key_of(kind, encode_parts(parts))


def encode_parts(parts: Mapping[str, Any]) -> dict[str, str]:
    """Return each part as canonical JSON, to make several keys with `key_of` of parts that they share.

    Raises:
        TypeError, ValueError: a part is no JSON.
    """
    return {name: canonical(value) for name, value in parts.items()}


def key_of(kind: str, encoded: Mapping[str, str]) -> str:
    """Return the key that `make_key` makes of the parts that `encode_parts` returned."""
    return hashlib.sha256(f'{{"kind":{canonical(kind)},"parts":{join_parts(encoded)}}}'.encode()).hexdigest()[:32]


def canonical(value: Any) -> str:
    """Return the value as canonical JSON: sorted names, no spaces, ASCII.

    Names must be text: JSON would turn the name 1 into "1", and two different keys into one.

    Raises:
        TypeError, ValueError: the value is not JSON.
    """
    # By type, because a run has a few keys for each of thousands of jobs, and `json.dumps` sets up much for each.
    kind = type(value)
    if kind is str:
        return encode_basestring_ascii(value)
    if kind is int:
        return repr(value)
    if isinstance(value, dict):
        if not all(isinstance(name, str) for name in value):
            raise TypeError(f"the names in a part of a key, {sorted(map(repr, value))}, are not all text")
        return join_parts({name: canonical(inner) for name, inner in value.items()})
    if isinstance(value, list | tuple):
        return f"[{','.join(map(canonical, value))}]"
    return json.dumps(value, allow_nan=False)


def join_parts(encoded: Mapping[str, str]) -> str:
    """Return the canonical JSON of an object whose values are encoded already, as by `encode_parts`."""
    return f"{{{','.join([start + encoded[name] for name, start in _starts(tuple(encoded))])}}}"


@lru_cache(maxsize=256)  # the jobs of a run have the same parts
def _starts(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return the names in the order of canonical JSON, each with what precedes its value."""
    return tuple((name, f"{encode_basestring_ascii(name)}:") for name in sorted(names))


def run_key(run_id: str, name: str) -> str:
    """Return the key of a run's file.

    Raises:
        SettingsError: the run_id is invalid.
    """
    if not valid_id(run_id):
        raise SettingsError(f"run_id is {run_id!r}, which is invalid; use {ID}")
    return f"runs/{run_id}/{name}"


def valid_id(text: str) -> bool:
    """Return whether this is a valid run_id. It is also a file name, so not `.` or `..`."""
    return bool(_ID.fullmatch(text)) and text.strip(".") != ""


def valid_job_id(text: str) -> bool:
    """Return whether this is a valid job_id. No key contains it, but names of exported files do."""
    return 0 < len(text.encode()) <= ID_BYTES and text.strip(".") != "" and all(map(is_id_character, text))


def is_id_character(character: str) -> bool:
    """Return whether a job_id may contain the character: a letter or digit of any script, with its marks, or `._-`."""
    return character in "._-" or unicodedata.category(character)[0] in "LMN"

"""The row that the catalog and every manifest are made of: one for a job and run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import pyarrow as pa

from catalogs.store.keys import canonical
from troupe import Job, SamplerSettings, __version__
from troupe.errors import TroupeError

__all__ = ["INDEXED", "QUALITIES", "SCHEMA", "STAGES", "STATUSES", "VERSION", "Row", "conform", "make_row", "table_of"]

VERSION = 2
"""Of the schema. Columns are only ever added, never renamed, never given another type."""

STATUSES = ("done", "reused", "failed", "cancelled", "forgotten")
"""How a job ended; `forgotten`: it was done, and what it made was deleted because the person shown wanted it."""
STAGES = ("fetch", "decode", "detect", "encode", "denoise", "vae", "paste", "encode_video", "put", "queue")
"""Parts of a job's time; columns `seconds_<stage>`."""
QUALITIES = ("identity", "landmarks", "expression", "pose", "flicker")
"""Measures of a render; columns `quality_<name>`, empty where nothing was measured."""

Row: TypeAlias = dict[str, Any]

_TEXT, _WHOLE, _REAL, _TIME = pa.string(), pa.int64(), pa.float64(), pa.timestamp("us", "UTC")

_TYPES: dict[str, Any] = {
    "schema_version": _WHOLE,
    "run_id": _TEXT,
    "job_id": _TEXT,
    "status": _TEXT,  # one of STATUSES
    "error_kind": _TEXT,  # TroupeError.kind
    "error": _TEXT,
    "identity": _TEXT,
    "consent": _TEXT,
    "tags": pa.map_(_TEXT, _TEXT),
    "portrait": _TEXT,
    "portrait_sha256": _TEXT,
    "driving": _TEXT,
    "driving_sha256": _TEXT,
    "face": pa.struct([("x1", _REAL), ("y1", _REAL), ("x2", _REAL), ("y2", _REAL)]),  # of the portrait, pixels
    # Frames of the clip in which the face was not seen, [first, stop).
    "gaps": pa.list_(pa.struct([("first", _WHOLE), ("stop", _WHOLE)])),
    "start_seconds": _REAL,
    "end_seconds": _REAL,
    "language": _TEXT,
    "audio": _TEXT,
    "output": _TEXT,
    "render_key": _TEXT,
    "full_uri": _TEXT,
    "crop_uri": _TEXT,
    "poster_uri": _TEXT,
    "width": _WHOLE,  # this and what follows: of the full video, of the crop where it is all there is
    "height": _WHOLE,
    "fps_numerator": _WHOLE,
    "fps_denominator": _WHOLE,
    "frames": _WHOLE,
    "seconds": _REAL,
    "bytes": _WHOLE,
    "checksum": _TEXT,  # SHA-256, hex
    "preset": _TEXT,
    "seed": _WHOLE,
    "settings": _TEXT,  # JSON
    "weights": _TEXT,  # fingerprint
    "code_version": _TEXT,
    **{f"seconds_{stage}": _REAL for stage in STAGES},
    "device": _TEXT,
    "peak_gpu_bytes": _WHOLE,
    "worker": _TEXT,
    "attempts": _WHOLE,
    **{f"quality_{name}": _REAL for name in QUALITIES},
    "started_at": _TIME,
    "finished_at": _TIME,
    "cuts": pa.list_(_WHOLE),  # frames of the clip with which another scene begins
    "detection_score": _REAL,  # mean over the frames in which the face was seen, 0..1
    "master_uri": _TEXT,
    "recorded_at": _TIME,  # when the ledger took it: of two rows of a job and run, the later one counts
    # Since version 2.
    "appearance_key": _TEXT,  # of what lies in the cache
    "track_key": _TEXT,
    "motion_key": _TEXT,
    "flagged": _TEXT,  # quality that was asked for and is not there, in words
}

INDEXED = (
    *("run_id", "job_id", "status", "identity", "driving", "error_kind"),
    *("quality_identity", "finished_at", "recorded_at"),
)
"""Columns of which the Delta table keeps every file's least and greatest value, so that queries skip files. Few,
because opening a table of many files takes time for each."""

SCHEMA = pa.schema(_TYPES, metadata={"troupe.schema_version": str(VERSION)})


def make_row(
    run_id: str,
    job: Job,
    status: str,
    *,
    started_at: datetime,
    finished_at: datetime,
    error: BaseException | None = None,
    stages: Mapping[str, float] | None = None,
    settings: SamplerSettings | None = None,
    face: Iterable[float] | None = None,
    gaps: Iterable[tuple[int, int]] | None = None,
    **columns: Any,
) -> Row:
    """A row of the schema, with null for whatever is not known.

    Args:
        run_id: of the run.
        job: fills the columns that say what was asked.
        status: one of STATUSES.
        started_at, finished_at: with a time zone.
        error: why it failed.
        stages: seconds by stage.
        settings: of the sampler.
        face: x1, y1, x2, y2 of the portrait's face.
        gaps: of the track, as `Track.gaps`.
        columns: further columns of the schema by name.

    Raises:
        TypeError, ValueError: a name is not the schema's, or a value not of its type. Better here than in the
            ledger, where it would keep others from being committed.
    """
    if status not in STATUSES:
        raise ValueError(f"status is {status!r}; it is one of {', '.join(STATUSES)}")
    given = {
        "schema_version": VERSION,
        "run_id": run_id,
        "status": status,
        "code_version": __version__,
        **_of_job(job),
        "started_at": started_at,
        "finished_at": finished_at,
        "settings": canonical(dataclasses.asdict(settings)) if settings else None,
        "face": dict(zip(("x1", "y1", "x2", "y2"), map(float, face), strict=True)) if face is not None else None,
        "gaps": [{"first": first, "stop": stop} for first, stop in gaps] if gaps is not None else None,
        **{f"seconds_{stage}": seconds for stage, seconds in (stages or {}).items()},
        **columns,
    }
    if error is not None:
        given |= {"error_kind": error.kind if isinstance(error, TroupeError) else "internal", "error": str(error)}
    unknown = given.keys() - set(SCHEMA.names)
    if unknown:
        raise TypeError(f"the row has no column {', '.join(sorted(unknown))}")
    return {name: _checked(name, given.get(name)) for name in SCHEMA.names}


def table_of(rows: Iterable[Row]) -> pa.Table:
    """Rows as a table of the schema."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def conform(table: pa.Table) -> pa.Table:
    """The table with the schema's columns first, null where it lacks one, and then what a newer version added."""
    columns = {
        name: table.column(name).cast(kind) if name in table.column_names else pa.nulls(len(table), kind)
        for name, kind in _TYPES.items()
    }
    extra = {name: table.column(name) for name in table.column_names if name not in columns}
    return pa.table({**columns, **extra}).replace_schema_metadata(SCHEMA.metadata)


def _of_job(job: Job) -> dict[str, Any]:
    same = (
        "job_id",
        "identity",
        "consent",
        "tags",
        "portrait",
        "driving",
        "language",
        "audio",
        "output",
        "preset",
        "seed",
    )
    return {name: getattr(job, name) for name in same} | {"start_seconds": job.start, "end_seconds": job.end}


def _checked(name: str, value: Any) -> Any:
    if value is None or (type(value) is str and _TYPES[name] == _TEXT):
        return value  # most cells, and asking Arrow takes a while
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{name} has no time zone; give it in UTC")
    if isinstance(value, Mapping) and pa.types.is_map(_TYPES[name]):
        value = list(value.items())
    if isinstance(value, float) and not value.is_integer() and pa.types.is_integer(_TYPES[name]):
        raise TypeError(f"column {name} is {_TYPES[name]}, not {value!r}")  # Arrow would cut it off
    try:
        return pa.scalar(value, _TYPES[name]).as_py()
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise TypeError(f"column {name} is {_TYPES[name]}, not {value!r}") from error

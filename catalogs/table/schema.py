"""Schema of the catalog and of manifests: one row per job and run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

import pyarrow as pa

from catalogs.store.keys import canonical
from catalogs.store.uris import redacted_text, redacted_value
from troupe import Job, SamplerSettings, __version__
from troupe.errors import TroupeError
from troupe.labels import label_key

__all__ = [
    "EITHER_SIGN",
    "HIGHER_IS_BETTER",
    "INDEXED",
    "MASKED_SINCE",
    "QUALITIES",
    "SCHEMA",
    "STAGES",
    "STATUSES",
    "SURE_OF_SYNC",
    "SYNC_COLUMNS",
    "VERSION",
    "WITH_VIDEO",
    "Row",
    "Status",
    "conform",
    "make_row",
    "number_column",
    "number_names",
    "table_of",
]

VERSION = 6
"""Version of the schema. Columns are only added, never renamed or changed in type."""
MASKED_SINCE = 5
"""Version of which every row was written without credentials in its URIs."""

Status: TypeAlias = Literal["done", "reused", "failed", "cancelled", "forgotten"]
"""How a job ended; `forgotten`: it was done, and its files were deleted because the person withdrew consent."""
STATUSES: tuple[Status, ...] = get_args(Status)
WITH_VIDEO: tuple[Status, ...] = ("done", "reused")
"""Statuses of jobs whose video is in the store."""
STAGES = ("fetch", "decode", "detect", "encode", "denoise", "vae", "paste", "encode_video", "put", "sign", "queue")
"""Stages of a job; columns `seconds_<stage>`."""
QUALITIES = ("identity", "landmarks", "expression", "pose", "flicker")
"""Quality measures of a render; columns `quality_<name>`, null where not measured."""
SYNC_COLUMNS = ("sync_offset_frames", "sync_confidence", "sync_lse_c", "sync_lse_d")
"""Measures of how the mouth moves with the sound, null where not measured."""
EITHER_SIGN = ("sync_offset_frames",)
"""Measures whose absolute value is compared with bounds."""
HIGHER_IS_BETTER = ("identity", "sync_confidence", "sync_lse_c")
"""Measures of which more is better; of all others less is."""
SURE_OF_SYNC = 0.5
"""Least `sync_confidence` with which `sync_offset_frames` means something."""

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
    "width": _WHOLE,  # this and the next columns: of the full video, or of the crop if there is no full video
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
    **{f"seconds_{stage}": _REAL for stage in STAGES if stage != "sign"},
    "device": _TEXT,
    "peak_gpu_bytes": _WHOLE,
    "worker": _TEXT,
    "attempts": _WHOLE,
    **{f"quality_{name}": _REAL for name in QUALITIES},
    "started_at": _TIME,
    "finished_at": _TIME,
    "cuts": pa.list_(_WHOLE),  # first frames of new scenes in the clip
    "detection_score": _REAL,  # mean over the frames in which the face was seen, 0..1
    "master_uri": _TEXT,
    "recorded_at": _TIME,  # when the row was buffered: of two rows of a job and run, the later one counts
    # Since version 2.
    "appearance_key": _TEXT,  # key in the cache
    "track_key": _TEXT,
    "motion_key": _TEXT,
    "flagged": _TEXT,  # which quality thresholds the render missed, or that another person is shown, in words
    # Since version 3.
    "identity_key": _TEXT,  # what identities are compared by: `troupe.labels.label_key`
    "notes": _TEXT,  # what was converted, mixed, chosen, left out or made again after damage, in words
    # Since version 4.
    "audio_track": _TEXT,  # as requested: `index:N`, `language:TAG`, or empty for the default
    "video_track": _TEXT,
    "size": _TEXT,  # as requested: largest size of the full video
    "fit": _TEXT,  # what was done where the sound and the picture differed in length; null for the clip's own sound
    "audio_seconds": _REAL,  # of the file that the job names as its sound
    "audio_cut_seconds": _REAL,  # of its end that are not in the video
    "loudness_lufs": _REAL,  # integrated, of the video's sound
    "loudness_range": _REAL,  # LU
    "true_peak_dbtp": _REAL,
    "picture_key": _TEXT,  # key of the video without sound, which the films in many languages share
    # Since version 5.
    "sync_offset_frames": _WHOLE,  # frames by which the sound comes after the mouth; negative if before it
    "sync_confidence": _REAL,  # correlation of mouth and sound at that offset, less the median of all offsets
    "sync_lse_c": _REAL,  # SyncNet's confidence, with --syncnet
    "sync_lse_d": _REAL,  # SyncNet's distance
    "subtitles": _TEXT,  # as requested: URI of the file
    "subtitles_burn": pa.bool_(),  # as requested: whether they are drawn into the picture
    "subtitles_language": _TEXT,  # of the track and the files of subtitles
    "subtitles_vtt_uri": _TEXT,
    "subtitles_srt_uri": _TEXT,
    "signature": _TEXT,  # `signed`: the files have Content Credentials; `unsigned`; null for jobs without a video
    "signer": _TEXT,  # subject of the signing certificate, RFC 4514
    "master_c2pa_uri": _TEXT,  # Content Credentials of a master whose format cannot contain them
    "seconds_sign": _REAL,
    "label": _TEXT,  # as requested: text in the upper right corner of every frame
    "watermark": _TEXT,  # id of the key of the video's watermark; `off`, or null where an earlier version made it
    # Since version 6.
    "consent_similarity": _REAL,  # cosine of the portrait's face and the permission's; null where not compared
    "lips": _TEXT,  # as requested: `driving` or `sound`; null where an earlier version made the row
    "replaces": _TEXT,  # render_key of the rejected film that this one is to replace; null for none
}

INDEXED = (
    *("run_id", "job_id", "status", "identity", "identity_key", "driving", "error_kind"),
    *("quality_identity", "finished_at", "recorded_at"),
)
"""Columns whose minimum and maximum per file the Delta table keeps, so that queries skip files. Few, because each adds
time to opening a table of many files."""

SCHEMA = pa.schema(_TYPES, metadata={"troupe.schema_version": str(VERSION)})

_JOB_COLUMNS = (
    *("job_id", "identity", "consent", "tags", "portrait", "driving"),
    *("language", "audio", "output", "preset", "seed", "audio_track", "video_track", "size"),
    *("subtitles", "subtitles_burn", "subtitles_language", "label", "lips"),
)
"""Columns with the same name as in the job."""


def make_row(
    run_id: str,
    job: Job,
    status: Status,
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
    """Make a row of the schema, with null for everything unknown.

    Args:
        run_id: id of the run.
        job: job, for the columns of the request.
        status: how the job ended.
        started_at, finished_at: times with a time zone.
        error: error that the job failed with.
        stages: seconds by stage.
        settings: settings of the sampler.
        face: x1, y1, x2, y2 of the portrait's face.
        gaps: gaps of the track, as `Track.gaps`.
        columns: further columns of the schema by name.

    Raises:
        TypeError, ValueError: a column does not exist, or a value does not match its type. Raised here, because in
            the row buffer it would keep the other rows of its batch from being committed.
    """
    if status not in STATUSES:
        raise ValueError(f"status is {status!r}; it must be one of {', '.join(STATUSES)}")
    values = {
        "schema_version": VERSION,
        "run_id": run_id,
        "status": status,
        "code_version": __version__,
        **{name: redacted_value(getattr(job, name)) for name in _JOB_COLUMNS},
        "identity_key": label_key(job.identity),
        "replaces": job.replaces or None,
        "start_seconds": job.start,
        "end_seconds": job.end,
        "started_at": started_at,
        "finished_at": finished_at,
        "settings": canonical(settings.values) if settings else None,
        "face": dict(zip(("x1", "y1", "x2", "y2"), map(float, face), strict=True)) if face is not None else None,
        "gaps": [{"first": first, "stop": stop} for first, stop in gaps] if gaps is not None else None,
        **{f"seconds_{stage}": seconds for stage, seconds in (stages or {}).items()},
        **columns,
    }
    if error is not None:
        values |= {
            "error_kind": error.kind if isinstance(error, TroupeError) else "internal",
            "error": _utf8(redacted_text(str(error))),
        }
    unknown = values.keys() - set(SCHEMA.names)
    if unknown:
        raise TypeError(f"the schema has no column {', '.join(sorted(unknown))}")
    return {name: _validated(name, values.get(name)) for name in SCHEMA.names}


def _utf8(text: str) -> str:
    """Return a text that Arrow accepts: names of files that are not UTF-8 contain lone surrogates."""
    return text.encode(errors="backslashreplace").decode()


def number_column(name: str) -> str | None:
    """Return the numeric column of a name; `identity` is short for `quality_identity`. None if there is none."""
    column = f"quality_{name}" if name in QUALITIES else name
    kind = _TYPES.get(column)
    is_number = kind is not None and (pa.types.is_integer(kind) or pa.types.is_floating(kind))
    return column if is_number else None


def number_names() -> list[str]:
    """Return the names of numeric columns, as `number_column` takes them."""
    return [*QUALITIES, *(name for name in SCHEMA.names if number_column(name))]


def table_of(rows: Iterable[Row]) -> pa.Table:
    """Convert rows to a table of the schema."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def conform(table: pa.Table) -> pa.Table:
    """Return the table with the schema's columns first, null where missing, then those a newer version added."""
    columns = {
        name: table.column(name).cast(kind) if name in table.column_names else pa.nulls(len(table), kind)
        for name, kind in _TYPES.items()
    }
    extra = {name: table.column(name) for name in table.column_names if name not in columns}
    return pa.table({**columns, **extra}).replace_schema_metadata(SCHEMA.metadata)


def _validated(name: str, value: Any) -> Any:
    if value is None or (type(value) is str and _TYPES[name] == _TEXT):
        return value  # most cells; Arrow's conversion is slower
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{name} has no time zone; use UTC")
    if isinstance(value, Mapping) and pa.types.is_map(_TYPES[name]):
        value = list(value.items())
    if isinstance(value, float) and not value.is_integer() and pa.types.is_integer(_TYPES[name]):
        raise TypeError(f"column {name} is {_TYPES[name]}, not {value!r}")  # Arrow would truncate it
    try:
        return pa.scalar(value, _TYPES[name]).as_py()
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise TypeError(f"column {name} is {_TYPES[name]}, not {value!r}") from error

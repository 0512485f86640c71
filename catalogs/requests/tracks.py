"""Track files: Parquet, or JSON as a list of the same rows.

Columns: `frame` (from 0, every frame once), `x1, y1, x2, y2` (the box), `kx0, ky0 ... kx4, ky4` (the keypoints in
the order of `troupe.Face`), `score` (0..1; 0 where the face was not seen). Coordinates are pixels of the decoded frame.
A column `cut` (true on the first frame of a new scene) is optional.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from troupe import Floats, Track
from troupe.errors import InputError, MissingInput

__all__ = ["SCHEMA", "read_track", "write_track"]

_BOX = ("x1", "y1", "x2", "y2")
_KEYPOINTS = tuple(f"k{axis}{point}" for point in range(5) for axis in "xy")
_NUMBERS = (*_BOX, *_KEYPOINTS, "score")

_TYPES: dict[str, pa.DataType] = {"frame": pa.int64(), **dict.fromkeys(_NUMBERS, pa.float32())}
SCHEMA = pa.schema({**_TYPES, "cut": pa.bool_()})
_REQUIRED = tuple(_TYPES)
_COLUMNS = "frame, x1, y1, x2, y2, kx0, ky0 ... kx4, ky4, score"


def read_track(path: Path) -> Track:
    """Return the track in a Parquet or JSON file; rows may be in any order.

    Raises:
        MissingInput: the file does not exist.
        InputError: it is not a valid track. The message says what is wrong in which frame.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MissingInput(f"the track {path} cannot be read: {error.strerror}") from error
    try:
        table = _parquet(data) if data[:4] == b"PAR1" else _json(data)
    except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{path} is not a track: {_line(error)}; write Parquet or JSON with {_COLUMNS}") from error
    frames = table.column("frame").to_numpy()
    order = np.argsort(frames, kind="stable")
    expected = np.arange(len(frames))
    if len(frames) == 0:
        raise InputError(f"{path} is a track without frames")
    if not np.array_equal(frames[order], expected):
        wrong = int(expected[frames[order] != expected][0])
        raise InputError(f"{path}: frame {wrong} is missing, or one is duplicated; write every frame from 0 once")
    numbers = {name: table.column(name).to_numpy().astype(np.float32)[order] for name in _NUMBERS}
    for name, values in numbers.items():
        if not np.isfinite(values).all():
            frame = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"{path}: {name} is not a number in frame {frame}")
    scores = numbers["score"]
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        raise InputError(f"{path}: the score of frame {int(np.flatnonzero(outside)[0])} is not within 0..1")
    boxes = _stack(numbers, _BOX)
    flat = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
    if flat.any():
        raise InputError(f"{path}: the box of frame {int(np.flatnonzero(flat)[0])} is empty; x1 < x2 and y1 < y2")
    cuts = np.flatnonzero(np.array([bool(cut) for cut in table.column("cut").to_pylist()])[order])
    return Track(
        boxes, _stack(numbers, _KEYPOINTS).reshape(-1, 5, 2), scores, tuple(int(cut) for cut in cuts if cut > 0)
    )


def write_track(track: Track, path: Path) -> None:
    """Write a track as Parquet, or as JSON if the name ends in `.json`."""
    numbers = np.concatenate([track.boxes, track.keypoints.reshape(-1, 10), track.scores[:, None]], axis=1)
    frames = np.arange(len(track))
    columns = [frames, *numbers.astype(np.float32).T, np.isin(frames, track.cuts)]
    table = pa.table([pa.array(np.ascontiguousarray(column)) for column in columns], schema=SCHEMA)
    if path.suffix.lower() == ".json":
        path.write_text(json.dumps(table.to_pylist()), encoding="utf-8")
    else:
        pq.write_table(table, path)


def _parquet(data: bytes) -> pa.Table:
    return _typed(pq.read_table(io.BytesIO(data)))


def _json(data: bytes) -> pa.Table:
    rows = json.loads(data)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("not a list of rows")
    names = [name for name in SCHEMA.names if name in _REQUIRED or any(name in row for row in rows)]
    return _typed(pa.table({name: [row.get(name) for row in rows] for name in names}))


def _typed(table: pa.Table) -> pa.Table:
    missing = [name for name in _REQUIRED if name not in table.column_names]
    if missing:
        raise ValueError(f"column {', '.join(missing)} is missing")
    if "cut" not in table.column_names:
        table = table.append_column("cut", pa.array([False] * len(table)))
    table = table.select(SCHEMA.names).cast(SCHEMA)
    for name in _REQUIRED:
        if table.column(name).null_count:
            raise ValueError(f"column {name} has an empty cell")
    return table


def _stack(numbers: dict[str, Floats], names: tuple[str, ...]) -> Floats:
    return np.stack([numbers[name] for name in names], axis=1)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

"""Track files: Parquet, or JSON as a list of the same rows.

Columns: `frame` (from 0, every frame once), `x1, y1, x2, y2` (the box), `kx0, ky0 ... kx4, ky4` (the keypoints in
the order of `troupe.Face`), `score` (0..1; 0 where the face was not seen). Coordinates are pixels of the decoded frame.
A column `cut` (true on the first frame of a new scene) is optional.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from troupe import Floats, Track
from troupe.errors import InputError, MissingInput, TooLarge

__all__ = ["SCHEMA", "read_track", "write_track"]

_BOX = ("x1", "y1", "x2", "y2")
_KEYPOINTS = tuple(f"k{axis}{point}" for point in range(5) for axis in "xy")
_NUMBERS = (*_BOX, *_KEYPOINTS, "score")

_TYPES: dict[str, pa.DataType] = {"frame": pa.int64(), **dict.fromkeys(_NUMBERS, pa.float32())}
SCHEMA = pa.schema({**_TYPES, "cut": pa.bool_()})
_REQUIRED = tuple(_TYPES)
_MOST_FRAMES = 1_000_000
"""Frames of a track; more than four hours at 60 a second."""
_MOST_BYTES = 2**28
"""Bytes of a track file, and of the cells in it: a million frames have less in either format, also as text."""
_MOST_CHUNKS = 100_000
_LONGEST_ROW = 10_000
"""Characters of a row of JSON, which has about 400."""
_BATCH = 65_536
_SPACE = re.compile(r"[ \t\n\r]*")
_COLUMNS = "frame, x1, y1, x2, y2, kx0, ky0 ... kx4, ky4, score"


def read_track(path: Path) -> Track:
    """Return the track in a Parquet or JSON file; rows may be in any order.

    Raises:
        MissingInput: the file does not exist.
        InputError: it is not a valid track. The message says what is wrong in which frame.
        TooLarge: it has more bytes, or more frames, than any clip has.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise MissingInput(f"the track {path} cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise TooLarge(f"the track {path} has more than {_MOST_BYTES} bytes; cut the clip into parts")
    try:
        table = _parquet(data) if data[:4] == b"PAR1" else _json(data)
    except TooLarge as error:
        raise TooLarge(f"the track {path} cannot be used: {error.message}") from None
    except MemoryError as error:
        raise TooLarge(f"the track {path} needs more memory than there is; cut the clip into parts") from error
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
    # A file of some kB may hold GB. What its metadata claims is checked first, what it holds batch by batch.
    file = pq.ParquetFile(io.BytesIO(data), thrift_container_size_limit=_MOST_CHUNKS)
    names = [name for name in SCHEMA.names if name in file.schema_arrow.names]
    for number in range(file.num_row_groups):
        _check_size(file.metadata.row_group(number).total_byte_size)
    _check_frames(file.metadata.num_rows)
    size, batches = 0, []
    for batch in file.iter_batches(batch_size=_BATCH, columns=names):
        size += batch.nbytes
        _check_size(size)
        batches.append(_typed(pa.Table.from_batches([batch])))
    return pa.concat_tables(batches) if batches else _typed(file.schema_arrow.empty_table())


def _json(data: bytes) -> pa.Table:
    """Read the rows one after the other: as Python objects, all of them take many times the size of the file."""
    text = data.decode()
    decoder = json.JSONDecoder()
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    given: set[str] = set()
    place, separator, rows = _after_space(text, 0), "[", 0
    while text[place : place + 1] == separator:
        place = _after_space(text, place + 1)
        if not rows and text[place : place + 1] == "]":
            break
        if text[place : place + 1] != "{":
            raise ValueError("not a list of rows")
        row, length = decoder.raw_decode(text[place : place + _LONGEST_ROW])
        given |= row.keys() & columns.keys()
        for name, column in columns.items():
            column.append(row.get(name))
        rows += 1
        _check_frames(rows)
        place, separator = _after_space(text, place + length), ","
    if text[place : place + 1] != "]" or _after_space(text, place + 1) < len(text):
        raise ValueError("not a list of rows" if not rows else f"no , or ] after row {rows}")
    names = [name for name in SCHEMA.names if name in _REQUIRED or name in given]
    return _typed(pa.table({name: columns[name] for name in names}))


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place


def _check_frames(frames: int) -> None:
    if frames > _MOST_FRAMES:
        raise TooLarge(f"it has more than {_MOST_FRAMES} frames; cut the clip into parts")


def _check_size(size: int) -> None:
    if size > _MOST_BYTES:
        raise TooLarge(f"it has more than {_MOST_BYTES} bytes of cells; cut the clip into parts")


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

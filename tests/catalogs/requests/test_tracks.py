"""catalogs.requests.tracks."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalogs.requests.tracks import SCHEMA, read_track, write_track
from troupe import Track
from troupe.errors import InputError, MissingInput, TooLarge


def track(frames: int = 5) -> Track:
    random = np.random.default_rng(0)
    corner = random.uniform(0, 100, (frames, 2))
    boxes = np.concatenate([corner, corner + random.uniform(1, 50, (frames, 2))], axis=1)
    scores = random.uniform(0, 1, frames)
    scores[1] = 0
    points = random.uniform(0, 100, (frames, 5, 2))
    return Track(boxes.astype(np.float32), points.astype(np.float32), scores.astype(np.float32), cuts=(3,))


@pytest.mark.parametrize("name", ["t.parquet", "t.json", "T.JSON", "t"])
def test_tracks_round_trip(tmp_path: Path, name: str) -> None:
    written = track()
    write_track(written, tmp_path / name)
    found = read_track(tmp_path / name)
    for part in ("boxes", "keypoints", "scores"):
        np.testing.assert_array_equal(getattr(found, part), getattr(written, part))
        assert getattr(found, part).dtype == np.float32
    assert found.gaps == ((1, 2),)
    assert found.cuts == (3,)


def rows(tmp_path: Path) -> list[dict[str, Any]]:
    write_track(track(), tmp_path / "t.json")
    found: list[dict[str, Any]] = json.loads((tmp_path / "t.json").read_text())
    return found


def test_columns_are_as_documented(tmp_path: Path) -> None:
    first = rows(tmp_path)[0]
    assert " ".join(first) == "frame x1 y1 x2 y2 kx0 ky0 kx1 ky1 kx2 ky2 kx3 ky3 kx4 ky4 score cut"
    points = track().keypoints
    assert (first["kx3"], first["ky3"]) == (points[0, 3, 0], points[0, 3, 1])


@pytest.mark.parametrize("name", ["t.json", "t.parquet"])
def test_cuts_may_be_left_out(tmp_path: Path, name: str) -> None:
    few = [{column: value for column, value in row.items() if column != "cut"} for row in rows(tmp_path)]
    if name == "t.json":
        (tmp_path / name).write_text(json.dumps(few))
    else:
        pq.write_table(pa.Table.from_pylist(few), tmp_path / name)
    assert read_track(tmp_path / name).cuts == ()


def test_rows_in_any_order_and_with_more_columns(tmp_path: Path) -> None:
    mixed = [{**row, "note": "x"} for row in reversed(rows(tmp_path))]
    path = tmp_path / "mixed.parquet"
    pq.write_table(pa.Table.from_pylist(mixed), path)
    np.testing.assert_array_equal(read_track(path).boxes, track().boxes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop(2), "frame 2 is missing"),
        (lambda r: r.append(dict(r[4])), "is missing, or one is duplicated"),
        (lambda r: r[0].update(frame=7), "frame 0 is missing"),
        (lambda r: r[0].update(frame=0.5), "is not a track"),
        (lambda r: r[3].update(kx2=float("nan")), "kx2 is not a number in frame 3"),
        (lambda r: r[3].update(y1=float("inf")), "y1 is not a number in frame 3"),
        (lambda r: r[1].update(score=1.5), "score of frame 1 is not within"),
        (lambda r: r[1].update(score=-0.1), "score of frame 1 is not within"),
        (lambda r: r[2].update(x2=r[2]["x1"]), "box of frame 2 is empty"),
        (lambda r: [row.pop("ky4") for row in r], "column ky4"),
        (lambda r: r[2].update(x1=None), "column x1 has an empty cell"),
        (lambda r: r[2].update(x1="left"), "is not a track"),
        (lambda r: r[2].update(x1=10**400), "is not a track"),
        (lambda r: r.clear(), "without frames"),
    ],
)
def test_invalid_tracks_are_reported(tmp_path: Path, change: Any, message: str) -> None:
    wrong = rows(tmp_path)
    change(wrong)
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(wrong))
    with pytest.raises(InputError, match=message) as caught:
        read_track(path)
    assert "wrong.json" in str(caught.value)


def test_a_column_too_few(tmp_path: Path) -> None:
    write_track(track(), tmp_path / "t.parquet")
    pq.write_table(pq.read_table(tmp_path / "t.parquet").drop_columns(["score"]), tmp_path / "few.parquet")
    with pytest.raises(InputError, match="column score is missing"):
        read_track(tmp_path / "few.parquet")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="No such file"):
        read_track(tmp_path / "none.parquet")


@given(data=st.binary(max_size=200), head=st.sampled_from([b"", b"PAR1", b"[", b'[{"frame": ']))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_garbage_is_an_input_error(tmp_path: Path, data: bytes, head: bytes) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(head + data)
    with pytest.raises(InputError):
        read_track(path)


@given(seed=st.integers(0, 10_000), cut=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_damaged_parquet_is_an_input_error_or_a_track(tmp_path: Path, seed: int, cut: bool) -> None:
    path = tmp_path / "damaged.parquet"
    write_track(track(), path)
    data = bytearray(path.read_bytes())
    random = np.random.default_rng(seed)
    if cut:
        data = data[: random.integers(4, len(data))]
    else:
        data[random.integers(4, len(data))] ^= 1 << random.integers(8)
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        assert len(read_track(path)) == 5


def test_schema() -> None:
    assert SCHEMA.field("frame").type == pa.int64()
    assert {field.type for field in SCHEMA} == {pa.int64(), pa.float32(), pa.bool_()}


@pytest.mark.long
def test_small_files_that_hold_many_frames_or_bytes(tmp_path: Path) -> None:
    path = tmp_path / "t"
    zeros = pa.array(np.zeros(1_100_000, np.float32)).dictionary_encode()
    pq.write_table(pa.table(dict.fromkeys(SCHEMA.names, zeros)), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(TooLarge, match="more than 1000000 frames"):
        read_track(path)
    whole = pa.table({name: pa.array([0] * 3) for name in SCHEMA.names}).append_column(
        "note", pa.array(["n" * 2**28] * 3)
    )
    pq.write_table(whole, path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(TooLarge, match="more than 268435456 bytes of cells"):
        read_track(path)
    for text, problem in (("[" + "{}," * 1_100_000 + "{}]", "1000000 frames"), ("[{" + '"a":[],' * 10**6, "track")):
        path.write_text(text)
        with pytest.raises(InputError, match=problem):
            read_track(path)
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(TooLarge, match="more than 268435456 bytes"):
        read_track(path)


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", "[1]", "[{},]", "[{}", "[{}{}]", "[{}] []", "[[]]", "null", "[{},1]"]
)
def test_json_that_is_not_a_list_of_rows(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(InputError, match=r"is not a track|without frames"):
        read_track(tmp_path / "t.json")

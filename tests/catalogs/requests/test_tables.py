"""catalogs.requests.tables: what is not a valid table, by way of jobs files."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogs.requests import tables
from catalogs.requests.jobs_file import COLUMNS, parse_jobs
from catalogs.store.keys import valid_job_id
from tests.catalogs.requests.conftest import parse
from troupe.errors import BadJob


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators(mark: str) -> None:
    text = f'portrait{mark}driving{mark}tags\na.png{mark}b.mp4{mark}"x=1;y=2"\n'
    assert parse(text)[0].tags == {"x": "1", "y": "2"}


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "jobs.csv", "jobs.csv is empty"),
        (" \n", "jobs.jsonl", "jobs.jsonl is empty"),
        ("portrait,driving\n", "jobs.csv", "there are no rows"),
        ("portrait,portrait,driving\na,b,c\n", "jobs.csv", "header: column 'portrait' occurs twice"),
        ("driving\na.mp4\n", "jobs.csv", "column 'portrait' is missing"),
        ("a;b\n", "jobs.csv", "column 'driving' is missing"),
        ('portrait,driving\n"a.png,b.mp4\nc,d\n', "jobs.csv", r"row 1 \(line 2\): not CSV"),
        ('portrait,driving\n"a"x,b\n', "jobs.csv", r"row 1 \(line 2\): not CSV"),
        ("portrait,driving\na\x00.png,b.mp4\n", "jobs.csv", "control character"),
        (
            '{"portrait": "a.png", "driving": "b.mp4"}\n[1]\nnull\n{x',
            "jobs.jsonl",
            r"row 2: not a JSON object(?s:.*)row 4",
        ),
        ("{}\n", "jobs.jsonl", "column 'driving' is missing"),
        ('{"portrait": true, "driving": ["b.mp4"]}', "jobs.jsonl", "portrait has the type bool(?s:.*)type list"),
        ('{"portrait": "\\ud800.png", "driving": "b"}', "jobs.jsonl", "control character"),
        ('{"portrait": "a", "driving": "b", "tags": {"a": {"b": 1}}}', "jobs.jsonl", "tags has the type dict"),
        ('{"portrait": "a", "driving": "b", "tags": [1]}', "jobs.jsonl", "not a set of names and values"),
        ("[" * 100_000, "jobs.jsonl", "row 1: not JSON"),
        ("x", "jobs.txt", r"use one of \.csv, \.jsonl, \.parquet"),
        ("[]", "jobs.json", "one object per line"),
        ("PAR1 but no", "jobs.parquet", "is not Parquet"),
    ],
)
def test_invalid_files(text: str, name: str, message: str) -> None:
    with pytest.raises(BadJob, match=message):
        parse(text, name)


def test_other_encodings() -> None:
    with pytest.raises(BadJob, match=r"not UTF-8 text \(line 2\)"):
        parse_jobs("portrait,driving\nJosé.png,b.mp4\n".encode("latin-1"), "jobs.csv", "/data")
    with pytest.raises(BadJob, match="UTF-8"):
        parse_jobs("portrait,driving\n".encode("utf-16"), "jobs.csv", "/data")


HEADS = [
    b"",
    b"portrait,driving,tags,seed,start,face\n",
    b"portrait,driving\na,b\n",
    b'{"portrait": "a", "driving": "b", "tags": ',
    b"PAR1",
]


@given(st.binary(max_size=300), st.sampled_from(HEADS), st.sampled_from(["j.csv", "j.jsonl", "j.parquet", "j.json"]))
@settings(max_examples=200)
def test_garbage_is_a_bad_job(data: bytes, head: bytes, name: str) -> None:
    check_garbage(head + data, name)


@given(st.text(max_size=200), st.sampled_from(HEADS[:4]), st.sampled_from(["j.csv", "j.jsonl"]))
@settings(max_examples=200)
def test_text_garbage_is_a_bad_job(text: str, head: bytes, name: str) -> None:
    check_garbage(head + text.encode(errors="surrogatepass"), name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "other"]), JSON), max_size=3))
@settings(max_examples=200)
def test_cells_of_any_type_are_a_bad_job(rows: list[dict[str, Any]]) -> None:
    rows = [{"portrait": "a.png", "driving": "b.mp4", **row} for row in rows]
    check_garbage("\n".join(map(json.dumps, rows)).encode(), "j.jsonl")
    try:
        table = pa.Table.from_pylist(rows)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return
    sink = io.BytesIO()
    try:
        pq.write_table(table, sink)
    except pa.ArrowNotImplementedError:
        return
    check_garbage(sink.getvalue(), "j.parquet")


@given(st.integers(0, 2**32 - 1), st.integers(0, 7), st.booleans())
@settings(max_examples=150)
def test_damaged_parquet_is_a_bad_job(place: int, bit: int, cut: bool) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"portrait": "a.png", "driving": "b.mp4", "seed": n} for n in range(3)]), sink)
    data = bytearray(sink.getvalue())
    place %= len(data)
    data[place] ^= 1 << bit
    check_garbage(bytes(data[:place] if cut else data), "j.parquet")


def check_garbage(data: bytes, name: str) -> None:
    """It is refused with lines that can be printed, or it happens to be right."""
    jobs, refused = None, None
    try:
        jobs = parse_jobs(data, name, "/data")
    except BadJob as error:
        refused = error
    if refused is not None:
        assert str(refused).encode()
        assert all("\n" not in problem for problem in refused.problems)
    else:
        assert jobs
        assert all(valid_job_id(job.job_id) and job.portrait and job.driving for job in jobs)
        assert len({job.job_id for job in jobs}) == len(jobs)


@pytest.mark.parametrize("cells", [["p" * 2**18] * 5, ["p" * 2**21]])
def test_a_small_file_with_large_cells(cells: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_MAX_TABLE_BYTES", str(2**20))
    sink = io.BytesIO()
    pq.write_table(pa.table({"portrait": cells}), sink, compression="zstd")
    assert len(sink.getvalue()) < 2**12
    with pytest.raises(BadJob, match="more than 1048576 bytes of cells"):
        list(tables.read_table(sink.getvalue(), "jobs.parquet").rows)


def test_only_the_rows_that_are_asked_for_are_read() -> None:
    rows = b"".join(b"a.png,b.mp4,%d\n" % number for number in range(200_000))
    file = io.BytesIO(b"portrait,driving,seed\n" + rows + b"\xff")
    assert [job.seed for job in parse_jobs(file, "jobs.csv", "/data", first=2)] == [0, 1]
    assert len(parse_jobs(b'{"portrait": "a.png", "driving": "b.mp4"}\n' * 3 + b"{", "j.jsonl", "/data", first=3)) == 3


def test_tables_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPE_MAX_ROWS", "3")
    with pytest.raises(BadJob, match=r"more than 3 rows, the limit: divide it into parts, or set TROUPE_MAX_ROWS"):
        parse_jobs(b"portrait,driving\n" + b"a.png,b.mp4\n" * 4, "jobs.csv", "/data")
    with pytest.raises(BadJob, match="more than 1000 columns"):
        parse_jobs(",".join(map(str, range(2000))).encode(), "jobs.csv", "/data")
    with pytest.raises(BadJob, match="more than 1000 columns"):
        parse_jobs(json.dumps(dict.fromkeys(map(str, range(2000)), 1)).encode(), "jobs.jsonl", "/data")


@pytest.mark.parametrize("name", ["jobs.csv", "jobs.jsonl"])
def test_reports_are_bounded(name: str) -> None:
    wrong = {
        "jobs.csv": b"portrait,driving\n" + b"a.png\n" * 5000,
        "jobs.jsonl": b"{" + b"x" * 100 + b"\n" + b"[\n" * 5000,
    }[name]
    with pytest.raises(BadJob, match="at least 1000 problems") as caught:
        parse_jobs(wrong, name, "/data")
    assert len(caught.value.problems) <= 1001
    long = {"jobs.csv": b"p" * 2**21 + b",driving\n", "jobs.jsonl": b'{"' + b"p" * 2**21 + b'": 1}'}[name]
    with pytest.raises(BadJob, match="has more than 1048576") as caught:
        parse_jobs(long, name, "/data")
    assert len(str(caught.value)) < 1000
    quoted = b'portrait,driving\n"' + b"\n,\n" * 2**20
    with pytest.raises(BadJob, match="not CSV") as caught:
        parse_jobs(quoted, "jobs.csv", "/data")


def test_a_column_that_some_rows_lack_is_empty_there() -> None:
    lines = b'{"portrait": "a.png", "driving": "b.mp4"}\n{"driving": "b.mp4"}\n'
    with pytest.raises(BadJob, match="row 2: portrait is empty"):
        parse_jobs(lines, "jobs.jsonl", "/data")

"""Strategies for hostile cells, and the files that some of them name."""

from __future__ import annotations

import csv
import io
import json
import os
import socket
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from catalogs.requests.access.input_policy import SCHEMES
from catalogs.requests.columns import COLUMNS
from tests.clips import write_bomb
from tests.faults.rows.servers import PATHS

__all__ = ["FORMATS", "encoded", "hostile_rows", "write_inputs"]

FORMATS = ("csv", "jsonl", "parquet")
Row = dict[str, Any]

_OTHER_SCHEMES = ("zip", "tar", "dir", "generic", "hdfs", "data", "reference", "github", "ftp", "sftp", "simplecache")
_KERNEL = ("/proc/self/mem", "/proc/kcore", "/proc/self/environ", "/sys/kernel/notes", "/dev/zero", "/dev/full")
_NUMBERS = (
    *("0", "-0", "-1", "1", "25", "1e3", "1e999999999", "-1e999999999", "1e-999999999", "9" * 400, "nan", "inf"),
    *("30000/1001", "1/0", "0/1", "1/99999999999999999999", "0x10", "1_000", "١٢", "½", "1,5", "1,000", "+3", "1e308"),
)


def write_inputs(folder: Path, clip: Path) -> list[str]:
    """Write files and other entries that are no valid inputs; return their paths, and some that do not exist."""
    folder.mkdir()
    whole = clip.read_bytes()
    contents: dict[str, bytes] = {
        "empty.mp4": b"",
        "empty.png": b"",
        "text.mp4": b"this is no film",
        "text.png": b"this is no picture",
        "half.mp4": whole[: len(whole) // 2],
        "head.mp4": whole[:40],
        "playlist.m3u8": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "track.json": b"[" + b"{}," * 10**5 + b"{}]",
        "deep.json": b"[" * 10**6,
        "name with spaces, ünïcode \U0001f3ac.mp4": whole[:100],
        "-i.mp4": b"-i",
        "100%41.mp4": b"",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(b"latin-\xe9.png")).write_bytes(b"x")
    write_bomb(clip, folder / "bomb.mp4")
    with (folder / "sparse.mp4").open("wb") as file:
        file.truncate(4 * 10**12)
    with (folder / "zeros.png").open("wb") as file:
        file.truncate(10**8)
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "dangling.mp4").symlink_to("nowhere")
    (folder / "kernel.png").symlink_to("/proc/self/mem")
    os.mkfifo(folder / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket.mp4"))
    (folder / "folder.mp4").mkdir()
    (folder / "gap").mkdir()
    for number in (1, 3):
        (folder / "gap" / f"{number}.png").write_bytes(b"x")
    (folder / "closed.png").write_bytes(b"x")
    (folder / "closed.png").chmod(0)
    paths = [str(path) for path in folder.iterdir() if "\udce9" not in path.name]
    long = [str(folder / ("n" * 300 + ".png")), "/" + "d/" * 3000 + "a.mp4", "界" * 90 + ".png", str(folder)]
    return [*sorted(paths), *long, str(folder / "gap" / "%03d.png"), str(folder / "*.png"), str(folder / "[.mp4")]


def hostile_rows(paths: list[str], server: str, good: Row) -> st.SearchStrategy[list[Row]]:
    """Rows of jobs, of which each is like the good one but for a few cells."""
    text = st.text(max_size=40)
    schemes = st.sampled_from([*SCHEMES, *_OTHER_SCHEMES])
    addresses = st.builds(
        "{}://{}".format, schemes, st.one_of(text, st.sampled_from(["", "/", "127.0.0.1:9/a.png", "[::1", "a::b://c"]))
    )
    served = st.builds("{}/{}.{}".format, st.just(server), st.sampled_from(PATHS), st.sampled_from(["png", "mp4", "é"]))
    uris = st.one_of(st.sampled_from(paths), st.sampled_from(_KERNEL), addresses, served, text)
    numbers = st.one_of(st.sampled_from(_NUMBERS), st.integers().map(str), st.floats().map(str), text)
    cells: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(("portrait", "driving", "tracks", "audio"), uris)
    cells |= dict.fromkeys(("start", "end", "fps", "seed", "quality"), numbers)
    others = [column for column in COLUMNS if column not in {*cells, "job_id"}]
    cells |= dict.fromkeys(others, st.one_of(text, numbers, st.sampled_from(["index:0", "index:99", "de", "\ud800"])))
    change = st.sampled_from(sorted(cells)).flatmap(lambda column: st.tuples(st.just(column), cells[column]))
    # Most of them with an input, because a wrong cell of another column is refused before anything is read.
    inputs = st.sampled_from(["portrait", "driving", "tracks", "audio"]).flatmap(lambda c: st.tuples(st.just(c), uris))
    rows = st.one_of(inputs, inputs, inputs, change).map(lambda cell: good | dict([cell]))
    return st.lists(rows, min_size=1, max_size=8)


def encoded(rows: list[Row], form: str) -> bytes:
    """Return a jobs file with these rows."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode(errors="surrogatepass")
    if form == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    sink = io.BytesIO()
    plain = [{name: str(cell).encode(errors="replace").decode() for name, cell in row.items()} for row in rows]
    pq.write_table(pa.table({name: [row.get(name) for row in plain] for name in columns}), sink)
    return sink.getvalue()

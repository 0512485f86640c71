"""Jobs files as spreadsheets, data frames and people write them."""

from __future__ import annotations

import http.server
import io
import logging
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogs.requests.jobs_file import parse_jobs, read_jobs
from troupe import Job
from troupe.errors import BadJob


def parse(text: str, name: str = "jobs.csv") -> list[Job]:
    return parse_jobs(text.encode(), name, "/data")


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_excels_separator_line(line: str) -> None:
    (job,) = parse(f"\ufeff{line}\nportrait;driving;tags\na,b.png;c.mp4;x=1,5\n")
    assert (job.portrait, job.tags) == ("/data/a,b.png", {"x": "1,5"})


def test_problems_count_rows_below_excels_separator_line() -> None:
    with pytest.raises(BadJob) as caught:
        parse("sep=;\nportrait;driving;seed\na.png;b.mp4;x\n")
    assert caught.value.problems[0].startswith("row 1 (line 3): seed")


def test_decimal_commas() -> None:
    (job,) = parse("portrait;driving;start;end;fps\na.png;b.mp4;0,5;12,25;29,97\n")
    assert (job.start, job.end, job.fps) == (0.5, 12.25, Fraction(30000, 1001))
    with pytest.raises(BadJob) as caught:
        parse("portrait;driving;end\na.png;b.mp4;1,500\n")
    assert list(caught.value.problems) == [
        "row 1 (line 2): end is '1,500', which may be 1.5 or 1500; write it without a comma"
    ]


def test_the_index_of_a_data_frame_is_ignored_and_named(caplog: pytest.LogCaptureFixture) -> None:
    for column in ("Unnamed: 0", ""):
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            assert len(parse(f"{column},portrait,driving\n0,a.png,b.mp4\n1,c.png,b.mp4\n")) == 2
        assert "index of a data frame" in caplog.text
    sink = io.BytesIO()
    pq.write_table(pa.table({"portrait": ["a"], "driving": ["b"], "__index_level_0__": [0]}), sink)
    assert len(parse_jobs(sink.getvalue(), "x.parquet", "/data")) == 1
    with pytest.raises(BadJob, match="a problem"):
        parse(",portrait,driving\nAda,a.png,b.mp4\n")


def test_languages_and_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    clip = tmp_path / "my clip.mp4"
    rows = [f"~/a.png,{clip.as_uri()},pt_BR", "faces\\a.png,\\\\b.mp4,zh_Hant_TW"]
    one, two = parse("portrait,driving,language\n" + rows[0] + "\n" + rows[1].replace("\\\\b", "clips\\b") + "\n")
    assert (one.portrait, one.driving, one.language) == (f"{tmp_path}/a.png", str(clip), "pt-BR")
    assert (two.portrait, two.driving, two.language) == ("/data/faces/a.png", "/data/clips/b.mp4", "zh-Hant-TW")
    with pytest.raises(BadJob) as caught:
        parse("portrait,driving\nC:\\faces\\a.png,b.mp4\n\\\\host\\a.png,b.mp4\n")
    assert len(caught.value.problems) == 2
    assert "Windows" in caught.value.problems[0]


def test_a_backslash_that_is_part_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "a\\b.png").touch()
    (job,) = parse_jobs(b"portrait,driving\na\\b.png,c.mp4\n", "x.csv", str(tmp_path))
    assert job.portrait == f"{tmp_path}/a\\b.png"


@pytest.fixture
def sheets() -> Iterator[str]:
    """A server that names the format of a table only in its header."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"portrait,driving\nhttp://x/a.png,http://x/b.mp4\n"
            self.send_response(200)
            kind = "application/octet-stream" if "format" in self.path else "text/csv; charset=utf-8"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["/export?format=csv&gid=0", "/d/jobs", "/get?file=jobs.csv"])
def test_the_format_of_an_http_file(sheets: str, path: str) -> None:
    (job,) = read_jobs(sheets + path)
    assert job.portrait == "http://x/a.png"

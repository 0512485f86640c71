"""Every portrait of a folder with every driving clip of another."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from catalogs.requests.jobs_file import cross_product
from tests.s3 import BUCKET
from troupe import Job
from troupe.errors import BadJob, MissingInput


def test_cross_product(tmp_path: Path) -> None:
    for name in ("p/b.PNG", "p/a.jpg", "p/notes.txt", "p/.a.png", "d/two.mp4", "d/one.mov", "d/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "p" / "folder.png").mkdir()
    jobs = cross_product(str(tmp_path / "p"), str(tmp_path / "d"), {"preset": "draft"})
    assert [job.job_id for job in jobs] == ["a__one", "a__two", "b__one", "b__two"]
    assert jobs[3] == Job("b__two", f"{tmp_path}/p/b.PNG", f"{tmp_path}/d/two.mp4", preset="draft")
    with pytest.raises(BadJob, match=r"d contains no pictures|contains no") as caught:
        cross_product(str(tmp_path / "p" / "folder.png"), str(tmp_path / "p"), {"seed": "x"})
    assert len(caught.value.problems) == 3
    with pytest.raises(MissingInput, match="nowhere does not exist"):
        cross_product(str(tmp_path / "nowhere"), str(tmp_path / "d"))


def test_cross_product_in_a_bucket(s3: str) -> None:
    for name in ("p/a.png", "d/x.mp4", "d/deeper/y.mp4"):
        with fsspec.open(f"s3://{BUCKET}/cross/{name}", "w") as file:
            file.write("x")
    base = f"s3://{BUCKET}/cross"
    assert cross_product(f"{base}/p/", f"{base}/d") == [Job("a__x", f"{base}/p/a.png", f"{base}/d/x.mp4")]


def test_every_readable_file_is_taken_and_the_others_are_listed(tmp_path: Path) -> None:
    names = "a.png b.avif c.gif d.ppm e.jfif f.jpe g.heic h.txt README"
    clips = "a.mp4 b.wmv c.m2ts d.flv e.webp f.mov g.wav"
    for name in [f"p/{name}" for name in names.split()] + [f"d/{name}" for name in clips.split()]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    left_out: list[str] = []
    jobs = cross_product(str(tmp_path / "p"), str(tmp_path / "d"), left_out=left_out)
    assert len(jobs) == 6 * 6
    assert left_out == [
        "README: it has no suffix",
        "g.heic: HEIC is not supported; convert it to JPEG, PNG or AVIF",
        "h.txt: .txt is not the suffix of a picture",
        "g.wav: .wav is not the suffix of a clip",
    ]

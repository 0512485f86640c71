"""Folders for inputs, of three kinds; S3 is a real endpoint on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from catalogs.requests.jobs_file import parse_jobs
from tests.s3 import BUCKET
from troupe import Job
from troupe.errors import BadJob


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder for inputs."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return f"s3://{BUCKET}/inputs-{tmp_path.name}"
    return f"memory://{tmp_path.name}" if request.param == "memory" else str(tmp_path / "inputs")


def write(uri: str, data: bytes) -> None:
    with fsspec.open(uri, "wb", auto_mkdir=True) if "://" not in uri else fsspec.open(uri, "wb") as file:
        file.write(data)


def parse(text: str, name: str = "jobs.csv", **kwargs: Any) -> list[Job]:
    return parse_jobs(text.encode(), name, "/data", **kwargs)


def problems(text: str, name: str = "jobs.csv", **kwargs: Any) -> list[str]:
    with pytest.raises(BadJob) as caught:
        parse(text, name, **kwargs)
    return list(caught.value.problems)

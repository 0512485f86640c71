"""Folders for inputs, of three kinds; S3 is a real endpoint on loopback."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from tests.s3 import BUCKET


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

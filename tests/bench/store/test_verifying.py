"""The benchmark of verifying, on a part of a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.store import verifying
from bench.store.verifying import counting, measure
from catalogs.requests.access import content_hashes


def test_what_is_hashed_twice_is_counted(tmp_path: Path) -> None:
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"12345")
    with counting() as hashed:
        first = content_hashes.content_hash(file)
        assert (hashed.bytes, hashed.again_bytes) == (5, 0)
        assert content_hashes.content_hash(file) == first
        assert (hashed.bytes, hashed.again_bytes) == (10, 5)
        file.write_bytes(b"123")
        content_hashes.content_hash(file)
        assert (hashed.bytes, hashed.again_bytes) == (13, 5)
    content_hashes.content_hash(file)
    assert hashed.bytes == 13


@pytest.mark.long
def test_one_job() -> None:
    findings = measure(verifying.parser().parse_args(["--jobs", "1", "--preview", "0.2"]))
    assert findings.cases["new"].number("jobs") == findings.cases["encoded before"].number("jobs") == 1
    assert findings.cases["new"].number("hashed_bytes") > 100_000
    assert findings.checks["new_again_share"].ok

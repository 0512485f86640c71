"""Temporary folders are removed with their owner, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from troupe.process import scratch

RUN = """
import time
from troupe.process.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "half.mp4").touch()
    print(folder, flush=True)
    time.sleep(600)
"""
INPUT = """
import time, fsspec
from catalogs.requests.inputs import localised
fsspec.filesystem("memory").pipe("/clip.mp4", b"a clip")
with localised("memory://clip.mp4") as path:
    print(path.parent, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("owned", [RUN, INPUT], ids=["run", "input"])
def test_a_folder_ends_with_its_owner_or_when_the_next_is_made(
    owned: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_MIN_AGE", 0.0)
    with subprocess.Popen(
        [sys.executable, "-c", owned],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as owner:
        assert owner.stdout
        left = Path(owner.stdout.readline().strip())
        with scratch.scratch_folder() as folder:
            assert left.exists(), "it has an owner"
        assert not folder.exists()
        owner.send_signal(signal.SIGKILL)
    assert left.exists()
    with scratch.scratch_folder():
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []

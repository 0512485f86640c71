"""Pulls that are interrupted resume where they stopped."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

import tasks.weights.download
import tasks.weights.hub_client
from tasks.weights.download import pull
from tests.tasks.weights.conftest import PATHS, TENCENT, content, fetch
from tests.tasks.weights.hub_server import TOKEN, HubServer
from troupe.errors import WeightsError


def test_broken_connection_is_resumed_within_a_pull(tmp_path: Path, hub: HubServer) -> None:
    hub.cuts["unet.pth"] = [7_000, 5_000, 1, 1, 1]  # progress each time, more often than there are pauses
    fetch(tmp_path, hub)
    ranges = [request.range for request in hub.requests_for("/unet.pth")]
    assert ranges == ["", *(f"bytes={start}-" for start in (7_000, 12_000, 12_001, 12_002, 12_003))]
    assert hub.sent["unet.pth"] == len(content(hub, "hyportrait/unet.pth"))
    assert (tmp_path / "hyportrait/unet.pth").read_bytes() == content(hub, "hyportrait/unet.pth")


def test_pull_that_gave_up_resumes(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.weights.hub_client, "RETRY_PAUSES", ())
    hub.cuts["motion_proj.pth"] = [7_000]
    with pytest.raises(WeightsError, match=r"motion_proj\.pth.*pull again to resume"):
        fetch(tmp_path, hub)
    assert not (tmp_path / "hyportrait/motion_proj.pth").exists()
    report = fetch(tmp_path, hub)
    assert report.fetched == (
        "hyportrait/motion_proj.pth",
        "hyportrait/pose_guider.pth",
        "hyportrait/unet.pth",
    )
    assert [request.range for request in hub.requests_for("/motion_proj.pth")] == ["", "bytes=7000-"]
    for path in PATHS:
        assert (tmp_path / path).read_bytes() == content(hub, path)
    assert hub.sent["motion_proj.pth"] == len(content(hub, "hyportrait/motion_proj.pth"))


def test_killed_process_leaves_a_partial_file(tmp_path: Path, hub: HubServer) -> None:
    """No tidy end: the process is gone in the middle of a file."""
    hub.cuts["dino.pth"] = [9_000]
    process = multiprocessing.get_context("spawn").Process(target=_pull_until_killed, args=(tmp_path, hub.endpoint))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    partial = tmp_path / ".pulling" / hashlib.sha256(content(hub, "hyportrait/dino.pth")).hexdigest()
    had = partial.stat().st_size
    assert 0 < had <= 9_000
    fetch(tmp_path, hub)
    assert [request.range for request in hub.requests_for("/dino.pth")] == ["", f"bytes={had}-"]
    assert (tmp_path / "hyportrait/dino.pth").read_bytes() == content(hub, "hyportrait/dino.pth")


def _pull_until_killed(directory: Path, endpoint: str) -> None:
    def die(path: str, done: int, size: int) -> None:
        if path == "hyportrait/dino.pth" and 0 < done < size:
            os.kill(os.getpid(), signal.SIGKILL)

    pull(directory, accept_licences=True, token=TOKEN, endpoint=endpoint, on_progress=die)


def test_storage_that_ignores_range_is_read_from_the_start(tmp_path: Path, hub: HubServer) -> None:
    hub.ranges = False
    hub.cuts["dino.pth"] = [7_000]
    fetch(tmp_path, hub)
    assert (tmp_path / "hyportrait/dino.pth").read_bytes() == content(hub, "hyportrait/dino.pth")


def test_pull_continues_with_the_commit_it_started_with(
    tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks.weights.hub_client, "RETRY_PAUSES", ())
    old = hub.newest(TENCENT)
    hub.cuts["expression.pth"] = [100]
    with pytest.raises(WeightsError):
        fetch(tmp_path, hub)
    hub.commits[TENCENT]["f" * 40] = {name: data + b"newer" for name, data in hub.commits[TENCENT][old].items()}
    report = fetch(tmp_path, hub)
    assert {entry.commit for entry in report.files.values() if entry.repo == TENCENT} == {old}
    assert (tmp_path / "hyportrait/unet.pth").read_bytes() == hub.commits[TENCENT][old]["unet.pth"]

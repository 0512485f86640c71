"""tasks.weights.download: pulls of the release from a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import save_file

import tasks.weights.download
import tasks.weights.hub_client
from tasks.weights.download import pull
from tasks.weights.sources import LICENCES, RELEASE
from tests.tasks.weights.conftest import fetch
from tests.tasks.weights.hub_server import TOKEN, HubServer
from troupe.errors import WeightsError

PATHS = [path for source in RELEASE for path in source.files]
TENCENT = "tencent/HunyuanPortrait"


def content(hub: HubServer, path: str) -> bytes:
    """Of the release's file, as the hub has it."""
    repo = next(source.repo for source in RELEASE if path in source.files)
    return hub.commits[repo][hub.newest(repo)][path.removeprefix("hyportrait/")]


def damage(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def test_pull_fills_the_layout_of_the_release(tmp_path: Path, hub: HubServer) -> None:
    told: list[tuple[str, int, int]] = []
    report = pull(
        tmp_path / "new" / "weights",
        accept_licences=True,
        token=TOKEN,
        endpoint=hub.endpoint,
        on_progress=lambda *call: told.append(call),
    )
    root = tmp_path / "new" / "weights"
    assert {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} == {*PATHS, "pulled.json"}
    for path in PATHS:
        assert (root / path).read_bytes() == content(hub, path)
        assert told[[call[0] for call in told].index(path)][1] == 0
        assert (path, len(content(hub, path)), len(content(hub, path))) in told
    assert set(report.fetched) == set(PATHS)


def test_record_names_commit_hash_and_size_of_every_file(tmp_path: Path, hub: HubServer) -> None:
    report = fetch(tmp_path, hub)
    record = json.loads((tmp_path / "pulled.json").read_text())
    assert record["commits"] == {source.repo: hub.newest(source.repo) for source in RELEASE}
    assert list(record["files"]) == sorted(PATHS)
    for path, entry in record["files"].items():
        data = content(hub, path)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        assert entry["size"] == len(data)
        assert entry["commit"] == hub.newest(entry["repo"])
        assert report.files[path].sha256 == entry["sha256"]
    assert record["files"]["hyportrait/unet.pth"]["file"] == "unet.pth"


def test_second_pull_makes_no_request(tmp_path: Path, hub: HubServer) -> None:
    fetch(tmp_path, hub)
    before = len(hub.requests)
    report = fetch(tmp_path, hub)
    assert report.fetched == ()
    assert set(report.files) == set(PATHS)
    assert len(hub.requests) == before


def test_nothing_is_requested_or_written_before_the_licences_are_accepted(tmp_path: Path, hub: HubServer) -> None:
    with pytest.raises(WeightsError, match="licences") as caught:
        pull(tmp_path / "weights", accept_licences=False, token=TOKEN, endpoint=hub.endpoint)
    assert len(caught.value.problems) == len(LICENCES) == len(RELEASE)
    for licence in LICENCES:
        assert any(licence.page in line and licence.terms in line for line in caught.value.problems)
    assert hub.requests == []
    assert not (tmp_path / "weights").exists()


def test_broken_connection_is_resumed_within_a_pull(tmp_path: Path, hub: HubServer) -> None:
    hub.cuts["unet.pth"] = [7_000, 5_000, 1, 1, 1]  # progress each time, more often than there are pauses
    fetch(tmp_path, hub)
    ranges = [request.range for request in hub.asked("/unet.pth")]
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
    assert [request.range for request in hub.asked("/motion_proj.pth")] == ["", "bytes=7000-"]
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
    assert [request.range for request in hub.asked("/dino.pth")] == ["", f"bytes={had}-"]
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


def test_damaged_content_is_refused_and_fetched_again(tmp_path: Path, hub: HubServer) -> None:
    hub.damaged = {"dino.pth"}
    with pytest.raises(WeightsError, match=r"dino\.pth of tencent/HunyuanPortrait arrived damaged") as caught:
        fetch(tmp_path, hub)
    assert hashlib.sha256(content(hub, "hyportrait/dino.pth")).hexdigest() in str(caught.value)
    assert not (tmp_path / "hyportrait/dino.pth").exists()
    assert "hyportrait/dino.pth" not in json.loads((tmp_path / "pulled.json").read_text())["files"]
    hub.damaged = set()
    fetch(tmp_path, hub)
    assert [request.range for request in hub.asked("/dino.pth")] == ["", ""]
    assert (tmp_path / "hyportrait/dino.pth").read_bytes() == content(hub, "hyportrait/dino.pth")


def test_damaged_small_file_is_refused(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files stored in git have git's hash, not a SHA-256."""
    monkeypatch.setattr("tests.tasks.weights.hub_server._git_hash", lambda _: "0" * 40)
    with pytest.raises(WeightsError, match=r"scheduler_config\.json .*arrived damaged: the hub's checksum is 0{40}"):
        fetch(tmp_path, hub)


def test_file_that_changed_since_is_fetched_again(tmp_path: Path, hub: HubServer) -> None:
    fetch(tmp_path, hub)
    damage(tmp_path / "hyportrait/dino.pth")
    (tmp_path / "vae/config.json").write_text("")
    (tmp_path / "arcface.onnx").unlink()
    (tmp_path / "yoloface_v5m.pt").touch()  # newer, but the same
    report = fetch(tmp_path, hub)
    assert set(report.fetched) == {"hyportrait/dino.pth", "vae/config.json", "arcface.onnx"}
    for path in PATHS:
        assert (tmp_path / path).read_bytes() == content(hub, path)


def test_files_from_elsewhere_are_adopted_if_valid(tmp_path: Path, hub: HubServer) -> None:
    (tmp_path / "hyportrait").mkdir()
    (tmp_path / "hyportrait/unet.pth").write_bytes(content(hub, "hyportrait/unet.pth"))
    report = fetch(tmp_path, hub)
    assert "hyportrait/unet.pth" not in report.fetched
    assert hub.asked("/unet.pth") == []
    assert report.files["hyportrait/unet.pth"].commit == hub.newest(TENCENT)


def test_an_invalid_file_from_elsewhere_is_kept(tmp_path: Path, hub: HubServer) -> None:
    (tmp_path / "hyportrait").mkdir()
    (tmp_path / "hyportrait/unet.pth").write_bytes(b"my own training")
    with pytest.raises(WeightsError, match=r"unet\.pth is not a file of the release"):
        fetch(tmp_path, hub)
    assert (tmp_path / "hyportrait/unet.pth").read_bytes() == b"my own training"
    assert hub.sent == {}


def test_converted_file_counts_as_its_source(tmp_path: Path, hub: HubServer) -> None:
    fetch(tmp_path, hub)
    source = tmp_path / "hyportrait/image_proj.pth"
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    save_file({"weight": torch.zeros(2)}, source.with_suffix(".safetensors"), metadata={"source_sha256": digest})
    source.unlink()
    assert fetch(tmp_path, hub).fetched == ()
    save_file({"weight": torch.zeros(2)}, source.with_suffix(".safetensors"), metadata={"source_sha256": "other"})
    assert fetch(tmp_path, hub).fetched == ("hyportrait/image_proj.pth",)


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


def test_fixed_revision_is_asked_for_by_name(tmp_path: Path, hub: HubServer) -> None:
    hub.commits["FoivosPar/Arc2Face"]["f" * 40] = {"other.onnx": b"newer"}
    report = fetch(tmp_path, hub)
    assert report.files["arcface.onnx"].commit == "da2f1e9aa3954dad093213acfc9ae75a68da6ffd"


def test_file_in_another_folder_of_its_repository_is_found(tmp_path: Path, hub: HubServer) -> None:
    files = hub.commits[TENCENT][hub.newest(TENCENT)]
    files["some/folder/unet.pth"] = files.pop("unet.pth")
    assert fetch(tmp_path, hub).files["hyportrait/unet.pth"].file == "some/folder/unet.pth"


def test_missing_and_ambiguous_files_are_listed_together(tmp_path: Path, hub: HubServer) -> None:
    files = hub.commits[TENCENT][hub.newest(TENCENT)]
    del files["dino.pth"]
    files["old/unet.pth"] = files["new/unet.pth"] = files.pop("unet.pth")
    with pytest.raises(WeightsError, match="does not match the release") as caught:
        fetch(tmp_path, hub)
    assert caught.value.problems == (
        "hyportrait/dino.pth: not found",
        "hyportrait/unet.pth: could be any of old/unet.pth, new/unet.pth",
    )


def test_full_disk_shows_before_the_first_byte(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(tasks.weights.download.shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    with pytest.raises(WeightsError, match=r"0\.0 GB free"):
        fetch(tmp_path, hub)
    assert hub.sent == {}


def test_directory_that_cannot_be_written(tmp_path: Path, hub: HubServer) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot write to"):
        fetch(tmp_path / "file", hub)


def test_two_pulls_at_once(tmp_path: Path, hub: HubServer) -> None:
    (tmp_path / ".pulling").mkdir()
    with FileLock(tmp_path / ".pulling/lock"), pytest.raises(WeightsError, match="another pull"):
        fetch(tmp_path, hub)


def test_damaged_record(tmp_path: Path, hub: HubServer) -> None:
    fetch(tmp_path, hub)
    (tmp_path / "pulled.json").write_text("{")
    with pytest.raises(WeightsError, match=r"pulled\.json is damaged; delete it"):
        fetch(tmp_path, hub)
    (tmp_path / "pulled.json").unlink()
    assert fetch(tmp_path, hub).fetched == ()

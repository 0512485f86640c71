"""tasks.weights.download: pulls of the release from a hub on this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from filelock import FileLock

import tasks.weights.download
import tasks.weights.hub_client
from tasks.weights.download import pull
from tasks.weights.sources import LICENCES, RELEASE
from tests.tasks.weights.conftest import PATHS, TENCENT, content, fetch
from tests.tasks.weights.hub_server import TOKEN, HubServer
from troupe.errors import WeightsError


def test_pull_fills_the_layout_of_the_release(tmp_path: Path, hub: HubServer) -> None:
    progress: list[tuple[str, int, int]] = []
    report = pull(
        tmp_path / "new" / "weights",
        accept_licences=True,
        token=TOKEN,
        endpoint=hub.endpoint,
        on_progress=lambda *call: progress.append(call),
    )
    root = tmp_path / "new" / "weights"
    assert {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} == {*PATHS, "pulled.json"}
    for path in PATHS:
        assert (root / path).read_bytes() == content(hub, path)
        assert progress[[call[0] for call in progress].index(path)][1] == 0
        assert (path, len(content(hub, path)), len(content(hub, path))) in progress
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

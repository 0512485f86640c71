"""Files that are already in the weights directory, and content that arrives damaged."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tasks.weights.check import convert
from tests.tasks.weights.conftest import PATHS, TENCENT, content, damage, fetch
from tests.tasks.weights.hub_server import HubServer
from troupe.errors import WeightsError


def test_damaged_content_is_refused_and_fetched_again(tmp_path: Path, hub: HubServer) -> None:
    hub.damaged = {"dino.pth"}
    with pytest.raises(WeightsError, match=r"dino\.pth of tencent/HunyuanPortrait arrived damaged") as caught:
        fetch(tmp_path, hub)
    assert hashlib.sha256(content(hub, "hyportrait/dino.pth")).hexdigest() in str(caught.value)
    assert not (tmp_path / "hyportrait/dino.pth").exists()
    assert "hyportrait/dino.pth" not in json.loads((tmp_path / "pulled.json").read_text())["files"]
    hub.damaged = set()
    fetch(tmp_path, hub)
    assert [request.range for request in hub.requests_for("/dino.pth")] == ["", ""]
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
    assert hub.requests_for("/unet.pth") == []
    assert report.files["hyportrait/unet.pth"].commit == hub.newest(TENCENT)


def test_an_invalid_file_from_elsewhere_is_kept(tmp_path: Path, hub: HubServer) -> None:
    (tmp_path / "hyportrait").mkdir()
    (tmp_path / "hyportrait/unet.pth").write_bytes(b"my own training")
    with pytest.raises(WeightsError, match=r"unet\.pth is not a file of the release"):
        fetch(tmp_path, hub)
    assert (tmp_path / "hyportrait/unet.pth").read_bytes() == b"my own training"
    assert hub.sent == {}


@pytest.fixture
def projector(hub: HubServer) -> str:
    """Give the hub a file that can be converted, and return its path."""
    data = io.BytesIO()
    torch.save({"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}, data)
    hub.commits[TENCENT][hub.newest(TENCENT)]["image_proj.pth"] = data.getvalue()
    return "hyportrait/image_proj.pth"


def convert_only(directory: Path, path: str) -> Path:
    """Convert one file; the others of this hub are noise."""
    for other in directory.glob("hyportrait/*.pth"):
        if other != directory / path:
            other.with_suffix(".safetensors").touch()
    (converted,) = convert(directory)
    for other in directory.glob("hyportrait/*.safetensors"):
        if other != converted:
            other.unlink()
    return converted


def test_a_converted_file_counts_as_its_source(tmp_path: Path, hub: HubServer, projector: str) -> None:
    fetch(tmp_path, hub)
    converted = convert_only(tmp_path, projector)
    (tmp_path / projector).unlink()
    assert fetch(tmp_path, hub).fetched == ()
    converted.touch()  # newer, but the same
    assert fetch(tmp_path, hub).fetched == ()


def test_a_note_in_a_converted_file_proves_nothing(tmp_path: Path, hub: HubServer, projector: str) -> None:
    fetch(tmp_path, hub)
    source = tmp_path / projector
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    forged = {"weight": torch.zeros(2, 3), "bias": torch.ones(2)}
    save_file(forged, source.with_suffix(".safetensors"), metadata={"source_sha256": digest})
    source.unlink()
    with pytest.raises(WeightsError, match=r"image_proj\.safetensors: remove it"):
        fetch(tmp_path, hub)
    assert source.is_file()
    source.with_suffix(".safetensors").unlink()
    convert_only(tmp_path, projector)
    save_file(forged, source.with_suffix(".safetensors"), metadata={"source_sha256": digest})
    with pytest.raises(WeightsError, match=r"image_proj\.safetensors: remove it"):
        fetch(tmp_path, hub)


def test_a_file_that_an_earlier_version_converted_is_compared(tmp_path: Path, hub: HubServer, projector: str) -> None:
    fetch(tmp_path, hub)
    same = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}
    save_file(same, (tmp_path / projector).with_suffix(".safetensors"))
    (tmp_path / projector).unlink()
    assert fetch(tmp_path, hub).fetched == (projector,)
    (tmp_path / projector).unlink()
    assert fetch(tmp_path, hub).fetched == ()

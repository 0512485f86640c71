"""`troupe weights`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import tasks.weights.hub_client
from flows.cli import app
from models.miniature.init_weights import init_weights
from tasks.weights.sources import LICENCES, RELEASE
from tests.small import SMALL
from tests.tasks.weights.hub_server import GATED, TOKEN, HubServer, hub_server

PATHS = [path for source in RELEASE for path in source.files]


def weights(*words: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["weights", *words], input=answer)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(tasks.weights.hub_client, "RETRY_PAUSES", ())
        yield server


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights") / "miniature"
    init_weights(directory, 3, SMALL)
    return directory


@pytest.mark.usefixtures("hub")
def test_pull_without_a_prompt(tmp_path: Path) -> None:
    result = weights("pull", str(tmp_path), "--accept-licences")
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    for licence in LICENCES:
        assert licence.page in result.stderr
        assert licence.terms in result.stderr
    for path in PATHS:
        assert (tmp_path / path).is_file()
        assert path in result.stderr
    assert f"{len(PATHS)} files" in result.stderr
    again = weights("pull", str(tmp_path), "--accept-licences")
    assert again.exit_code == 0
    assert " 0 downloaded now" in again.stderr


def test_pull_without_accepting(tmp_path: Path, hub: HubServer) -> None:
    result = weights("pull", str(tmp_path / "weights"))  # no terminal to prompt on
    assert result.exit_code == 2
    assert "--accept-licences" in result.stderr
    assert all(licence.page in result.stderr for licence in LICENCES)
    assert hub.requests == []
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize(("answer", "code"), [("n\n", 2), ("y\n", 0)])
def test_pull_asks_on_a_terminal(
    answer: str, code: int, tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.cli.weights.can_prompt", lambda: True)
    result = weights("pull", str(tmp_path / "weights"), answer=answer)
    assert result.exit_code == code
    shown, question = result.stderr.index(LICENCES[-1].page), result.stderr.index("Do you accept them?")
    assert shown < question
    assert bool(hub.requests) == (tmp_path / "weights").exists() == (code == 0)


def test_pull_of_a_gated_repository(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr(tasks.weights.hub_client, "get_token", lambda: None)
    result = weights("pull", str(tmp_path), "--accept-licences")
    assert result.exit_code == 2
    assert f"accept its terms on https://huggingface.co/{GATED}" in result.stderr
    assert "Traceback" not in result.output
    assert hub.sent == {}


def test_endpoint_option_wins(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert weights("pull", str(tmp_path), "--accept-licences", "--endpoint", hub.endpoint).exit_code == 0


def test_miniature_passes_the_check(miniature: Path) -> None:
    result = weights("check", str(miniature))
    assert result.exit_code == 0, result.output
    header, *rows = (line.split("\t") for line in result.stdout.splitlines())
    assert header == ["part", "file", "tensors", "parameters", "dtype", "size", "state", "converted from (unverified)"]
    assert {row[1] for row in rows} >= {"hyportrait/unet.pth", "hyportrait/dino.pth", "arcface.onnx", "detector.onnx"}
    assert {row[6] for row in rows} == {"ok"}


def test_check_as_json(miniature: Path) -> None:
    report = json.loads(weights("check", str(miniature), "--format", "json").stdout)
    assert report["ok"] is True
    (unet,) = [part for part in report["parts"] if part["name"] == "unet"]
    assert unet["tensors"] > 100
    assert unet["problems"] == []


def test_check_lists_every_problem(miniature: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature, tmp_path, dirs_exist_ok=True)
    (tmp_path / "hyportrait/dino.pth").unlink()
    (tmp_path / "hyportrait/unet.pth").write_bytes(b"no tensors")
    result = weights("check", str(tmp_path))
    assert result.exit_code == 2
    assert "hyportrait/dino.pth: missing" in result.stderr
    assert "hyportrait/unet.pth: " in result.stderr
    assert [line.split("\t")[6] for line in result.stdout.splitlines()].count("bad") == 2


def test_check_accepts_converted_weights(miniature: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature, tmp_path, dirs_exist_ok=True)
    result = weights("convert", str(tmp_path))
    assert result.exit_code == 0, result.output
    written = {line.split(" (")[0] for line in result.stdout.splitlines()}
    assert written == {str(path.with_suffix(".safetensors")) for path in (tmp_path / "hyportrait").glob("*.pth")}
    for path in (tmp_path / "hyportrait").glob("*.pth"):
        path.unlink()
    assert weights("check", str(tmp_path)).exit_code == 0
    assert "nothing to convert" in weights("convert", str(tmp_path)).stderr


def test_check_names_optional_parts_that_are_absent(miniature: Path, tmp_path: Path) -> None:
    shutil.copytree(miniature, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "troupe", ignore_errors=True)
    result = weights("check", str(tmp_path))
    assert result.exit_code == 0, result.output
    for part in ("voice", "fast"):
        assert f"without the optional part {part}; train one with `troupe train FILE --part {part}`" in result.stderr
    assert set(json.loads(weights("check", str(tmp_path), "--format", "json").stdout)["absent"]) == {"voice", "fast"}

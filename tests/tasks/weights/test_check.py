"""tasks.weights.check."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from models.miniature.init_weights import init_weights
from models.weights import source_hash
from tasks.doctor import examine
from tasks.weights.check import check, convert
from tests.small import SMALL
from troupe.errors import WeightsError


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("weights") / "miniature"
    init_weights(directory, 0, SMALL)
    return directory


@pytest.fixture
def copy(miniature: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(miniature, tmp_path / "copy"))


def test_converted_files_remember_their_source(copy: Path) -> None:
    sources = sorted((copy / "hyportrait").glob("*.pth"))
    written = list(convert(copy))
    assert sorted(written) == [path.with_suffix(".safetensors") for path in sources]
    for path in sources:
        assert source_hash(path.with_suffix(".safetensors")) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert {report.file for report in check(copy)} >= {f"hyportrait/{path.name}" for path in written}
    assert list(convert(copy)) == []


def test_damaged_file_stops_a_conversion(copy: Path) -> None:
    (copy / "hyportrait/dino.pth").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match=r"dino\.pth"):
        list(convert(copy))
    assert not (copy / "hyportrait/dino.safetensors").exists()


def test_files_that_are_cut_short_are_called_that(copy: Path) -> None:
    for name in ("hyportrait/dino.pth", "vae/diffusion_pytorch_model.fp16.safetensors"):
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content[: len(content) // 2])
    found = {report.name: " ".join(report.problems) for report in check(copy)}
    for name in ("dino", "vae"):
        assert "it is cut short or damaged" in found[name], found


def test_missing_directory(tmp_path: Path) -> None:
    for read in (check, lambda directory: list(convert(directory))):
        with pytest.raises(WeightsError, match="is not a directory"):
            read(tmp_path / "nothing")


def test_doctor_checks_the_directory(copy: Path, tmp_path: Path) -> None:
    found = {finding.name: finding for finding in examine(str(tmp_path / "store"), copy, None, lambda: "answers")}
    assert found["weights"].state == "ok"
    assert "million parameters" in found["weights"].what
    assert (found["detector"].state, found["detector"].what) == ("ok", str(copy / "detector.onnx"))
    (copy / "hyportrait/dino.pth").unlink()
    (copy / "detector.onnx").write_bytes(b"no graph")
    found = {finding.name: finding for finding in examine(str(tmp_path / "store"), copy, None, lambda: "answers")}
    assert found["weights"].state == "bad"
    assert "hyportrait/dino.pth: missing" in found["weights"].what
    assert "troupe weights check" in found["weights"].advice
    assert found["detector"].state == "bad"

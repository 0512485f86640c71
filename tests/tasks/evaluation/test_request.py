"""The check of an evaluation before anything expensive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from models.miniature import SHIPPED_WEIGHTS
from tasks.evaluation.request import EvaluationRequest, check_evaluation
from tests.tasks.evaluation.test_metrics import networks
from troupe.errors import SettingsError, WeightsError

__all__ = ["networks"]


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    request = EvaluationRequest(
        str(tmp_path / "store"),
        str(tmp_path / "weights"),
        str(tmp_path),
        "../e1",
        str(tmp_path / "faces"),
        preset="scetch",
        lpips="nowhere.pt",
        inception=str(tmp_path / "junk.pt"),
        video_features=str(tmp_path / "tensors.pt"),
        embedder=str(tmp_path / "junk.pt"),
        device="gpu",
        dtype="float8",
    )
    (tmp_path / "junk.pt").write_text("junk")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "tensors.pt")
    with pytest.raises(SettingsError) as caught:
        check_evaluation(request)
    text = str(caught.value)
    assert text.startswith("the request has 11 problems:\n  ")
    for expected in (
        "'../e1'",
        "no clips in",
        "/faces does not exist",
        "no file nowhere.pt for --lpips",
        f"{tmp_path}/junk.pt for --inception is not TorchScript; save the network with",
        f"{tmp_path}/tensors.pt for --video-features is not TorchScript; save",
        f"{tmp_path}/junk.pt cannot be read as an ONNX network",
        "unknown preset 'scetch'",
        "invalid device 'gpu'",
        "invalid dtype 'float8'",
        "the weights directory",
    ):
        assert expected in text
    assert not (tmp_path / "store").exists()


def test_networks_are_called_before_anything_is_rendered(networks: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "hello.mp4").touch()
    request = EvaluationRequest(
        str(tmp_path / "store"),
        str(SHIPPED_WEIGHTS),
        str(tmp_path / "hello.mp4"),
        "e1",
        lpips=str(networks["lpips"]),
        inception=str(networks["features"]),
        video_features=str(networks["features"]),
    )
    check_evaluation(request)
    with pytest.raises(WeightsError, match=r"features.pt does not work as --lpips"):
        check_evaluation(replace(request, lpips=request.inception))


def test_clips_and_portraits_are_limited(tmp_path: Path) -> None:
    for name in ("b.mp4", "a.MP4", "c.txt", "one.png", "two.jpg"):
        (tmp_path / name).touch()
    request = EvaluationRequest("s", "w", str(tmp_path), "e1", str(tmp_path), limit=1)
    assert [Path(uri).name for uri in (*request.clips, *request.pictures)] == ["a.MP4", "one.png"]
    assert EvaluationRequest("s", "w", str(tmp_path / "b.mp4"), "e1").clips == [str(tmp_path / "b.mp4")], "one clip"

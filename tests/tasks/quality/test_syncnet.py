"""SyncNet's measures, by networks that compare brightness with loudness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tasks.quality.syncnet import SAMPLE_RATE, SyncNet, crop_faces, lse
from troupe import Picture
from troupe.errors import WeightsError
from troupe.faces import Floats

CPU = torch.device("cpu")


class BrightAsLoud(nn.Module):
    """Embeds five frames as their brightness, and samples as their loudness, one after the other."""

    def forward(self, faces: Tensor, samples: Tensor) -> Tensor:
        """(N, 3, 5, 224, 224) and (N, 3200) -> (N, 2, 5)."""
        bright = faces.mean(dim=(1, 3, 4)) / 255
        loud = samples.reshape(-1, 5, 640).abs().mean(dim=2)
        return torch.stack([bright, loud], dim=1)


class Odd(nn.Module):
    """Returns one embedding only."""

    def forward(self, faces: Tensor, samples: Tensor) -> Tensor:
        """-> (N, 5)."""
        return faces.mean(dim=(1, 3, 4)) + samples.mean()


def saved(network: nn.Module, folder: Path) -> Path:
    path = folder / "net.pt"
    torch.jit.script(network).save(str(path))  # type: ignore[no-untyped-call]
    return path


def test_the_measures_of_known_embeddings() -> None:
    rng = np.random.default_rng(0)
    video = torch.from_numpy(rng.normal(size=(200, 8)))
    assert lse(video, video)[1] == pytest.approx(0, abs=1e-4)
    confidence, distance = lse(video, torch.roll(video, 4, 0) + 0.1)
    assert distance < 0.7
    assert confidence == pytest.approx(4 - distance, abs=0.6)  # strangers are sqrt(2 * 8) = 4 apart
    assert lse(video, torch.from_numpy(rng.normal(size=(200, 8))))[0] < 0.3


def test_films_in_and_out_of_sync(tmp_path: Path) -> None:
    network = SyncNet(saved(BrightAsLoud(), tmp_path), CPU)
    levels = np.random.default_rng(1).uniform(0, 1, 60).astype(np.float32)
    faces = [np.full((224, 224, 3), round(255 * level), np.uint8) for level in levels]
    found = network.measure(faces, np.repeat(levels, SAMPLE_RATE // 25))
    assert found is not None
    confidence, distance = found
    assert distance < 0.01
    assert confidence > 0.5
    other = network.measure(faces, np.repeat(levels[::-1], SAMPLE_RATE // 25))
    assert other is not None
    assert other[0] < confidence / 2
    assert network.measure(faces[:20], np.repeat(levels, 640)) is None
    assert network.measure([], np.repeat(levels, 640)) is None


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no file"):
        SyncNet(tmp_path / "missing.pt", CPU)
    with pytest.raises(WeightsError, match=r"not \(N, 2, D\)"):
        SyncNet(saved(Odd(), tmp_path), CPU)


def test_faces_are_followed_and_framed() -> None:
    """A square of 100 pixels stays in the middle of its crop, which is 1.4 times as wide."""

    def frame(number: int) -> Picture:
        picture = np.zeros((300, 300, 3), np.uint8)
        picture[80:180, 60 + 5 * number : 160 + 5 * number] = 255
        return picture

    asked: list[int] = []

    def find(picture: Picture) -> Floats | None:
        columns = np.flatnonzero(picture[100, :, 0])
        asked.append(int(columns[0] - 60) // 5)
        return np.array([columns[0], 80, columns[-1] + 1, 180], np.float32)

    crops = list(crop_faces(map(frame, range(12)), find))
    assert asked == [0, 5, 10]
    assert len(crops) == 12
    for crop in crops[:-1]:
        assert crop.shape == (224, 224, 3)
        columns = np.flatnonzero(crop[10, :, 0] > 127)
        assert abs(columns[0] - 32) <= 1
        assert abs(columns[-1] - 191) <= 1
        assert (crop[-1] == 0).all()  # below the face
    assert list(crop_faces(map(frame, range(12)), lambda _: None)) == []

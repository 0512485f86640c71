"""A TorchScript module in the place of troupe's watermark."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from tasks.media.watermark import PUBLIC_KEY, load_key, make_watermarker, read_frames
from tasks.media.watermark.keys import KEY, MODEL
from troupe.errors import SettingsError

SIDE = 96


class Blocks(nn.Module):
    """Hides bits in whether the quantised mean of a block of 8x12 pixels is even."""

    def __init__(self, bits: int = 96) -> None:
        super().__init__()
        self.bits = bits

    @torch.jit.export
    def embed(self, frames: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
        means = avg_pool2d(frames.mean(1, keepdim=True), [8, 12])
        levels = torch.floor(means * 64)
        wanted = levels + (torch.remainder(levels, 2) - bits.reshape(1, 1, 12, 8)).abs() + 0.5
        return frames + interpolate(wanted / 64 - means, scale_factor=[8.0, 12.0])

    @torch.jit.export
    def decode(self, frames: torch.Tensor) -> torch.Tensor:
        means = avg_pool2d(frames.mean(1, keepdim=True), [8, 12])
        return torch.remainder(torch.floor(means * 64), 2).flatten(1) * 2 - 1

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return self.decode(frames)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.jit.script(Blocks()).save(str(tmp_path / "blocks.pt"))  # type: ignore[no-untyped-call]
    return tmp_path / "blocks.pt"


def test_a_model_replaces_the_watermark(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "a key beside a model")
    own = load_key()
    monkeypatch.setenv(MODEL, str(model))
    key = load_key()
    assert key.id.startswith(f"{own.id}-")
    frames = np.random.default_rng(0).integers(40, 200, (3, SIDE, SIDE, 3)).astype(np.uint8)
    mark = make_watermarker(key, b"payload!", (SIDE, SIDE), Fraction(25))
    marked = [(mark(frame, index), index / 25) for index, frame in enumerate(frames)]
    found = read_frames(marked, key)
    assert found is not None
    assert (bytes.fromhex(found.payload), found.key_id) == (b"payload!", key.id)
    assert read_frames([(frame, 0.0) for frame in frames], key) is None
    assert read_frames(marked, replace(PUBLIC_KEY, model=str(model))) is None, "another key"


def test_models_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MODEL, str(tmp_path / "missing.pt"))
    with pytest.raises(SettingsError, match="No such file"):
        load_key()
    (tmp_path / "text.pt").write_text("no model")
    monkeypatch.setenv(MODEL, str(tmp_path / "text.pt"))
    with pytest.raises(SettingsError, match=r"text.pt is not TorchScript$"):
        load_key()
    torch.jit.script(Blocks(bits=64)).save(str(tmp_path / "small.pt"))  # type: ignore[no-untyped-call]
    for name, problem in (("text.pt", "cannot use the watermark model text.pt"), ("small.pt", "at least 88 bits")):
        with pytest.raises(SettingsError, match=problem):
            make_watermarker(replace(PUBLIC_KEY, model=str(tmp_path / name)), bytes(8), (SIDE, SIDE), Fraction(25))

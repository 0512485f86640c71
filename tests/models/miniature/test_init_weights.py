"""An untrained weights directory is complete and small, and renders."""

from __future__ import annotations

import hashlib
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.animator import load
from models.config import ModelConfig
from models.faces import open_detector, prepare_portrait, track_face
from models.miniature import draw_clip, draw_portrait
from models.miniature.init_weights import MINIATURE_CONFIG, init_weights
from models.weights import inspect_weights, model_files
from troupe import LARGEST, SamplerSettings
from troupe.errors import SettingsError

RELEASED = {
    "arcface.onnx",
    "detector.onnx",
    "troupe.json",
    "scheduler/scheduler_config.json",
    "unet/config.json",
    "vae/config.json",
    "vae/diffusion_pytorch_model.fp16.safetensors",
    *(
        f"hyportrait/{name}.pth"
        for name in ("dino", "expression", "headpose", "image_proj", "motion_proj", "pose_guider", "unet")
    ),
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "miniature"
    init_weights(path, 0)
    return path


def content(directory: Path) -> dict[str, str]:
    """Return the hashes of all files by name."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_the_directory_has_the_layout_of_the_release(directory: Path) -> None:
    assert set(content(directory)) == RELEASED
    assert sum(path.stat().st_size for path in directory.rglob("*")) < 40e6
    assert ModelConfig.read(directory) == MINIATURE_CONFIG
    assert len(model_files(directory)) == len(RELEASED) - 1  # the detector is not part of the model


def test_every_part_fits(directory: Path) -> None:
    reports = inspect_weights(directory)
    assert len(reports) == 10
    assert [line for report in reports for line in report.problems] == []


def test_files_hold_only_tensors(directory: Path) -> None:
    for path in (directory / "hyportrait").iterdir():
        state = torch.load(path, weights_only=True)
        assert all(isinstance(value, torch.Tensor) for value in state.values())
        assert all(torch.isfinite(value).all() for value in state.values())
    assert set(torch.load(directory / "hyportrait" / "image_proj.pth")) == {"weight", "bias"}
    vae = load_file(directory / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    assert {value.dtype for value in vae.values()} == {torch.float16}


def test_weights_depend_on_the_seed_alone(directory: Path, tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    init_weights(tmp_path / "same", 0)
    init_weights(tmp_path / "deeper" / "other", 1)
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's generator must not be used"
    assert content(tmp_path / "same") == content(directory)
    other = content(tmp_path / "deeper" / "other")
    differing = {name for name, digest in content(directory).items() if other[name] != digest}
    assert differing == {name for name in RELEASED if name.endswith((".pth", ".safetensors")) or "arcface" in name}


def test_an_identical_directory_is_left_unchanged(directory: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    init_weights(directory, 0)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before
    assert [path.name for path in directory.parent.iterdir()] == [directory.name]


def test_other_files_are_not_overwritten(directory: Path, tmp_path: Path) -> None:
    before = content(directory)
    with pytest.raises(SettingsError, match="seed 1"):
        init_weights(directory, 1)
    assert content(directory) == before
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(SettingsError, match="not empty"):
        init_weights(tmp_path, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_path_of_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("mine")
    with pytest.raises(SettingsError, match="not a directory"):
        init_weights(tmp_path / "weights", 0)
    assert (tmp_path / "weights").read_text() == "mine"


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    init_weights(tmp_path / "weights", 0)
    assert set(content(tmp_path / "weights")) == RELEASED


@pytest.mark.long
def test_renders_the_world(directory: Path) -> None:
    """From portrait and driving clip to rendered frames."""
    animator = load(directory, "cpu", "float32")
    detector = open_detector(directory / "detector.onnx", "cpu")
    person = prepare_portrait(draw_portrait(1)[0], detector, LARGEST, MINIATURE_CONFIG.image_size, "the portrait")
    frames = [picture for picture, _ in draw_clip(2, 3, 6, 25)]
    track = track_face(frames, detector, LARGEST, "the clip")
    assert track.gaps == ()
    appearance = animator.encode_appearance(person)
    motion = animator.encode_motion(frames, track)
    for value in chain((appearance.tokens, appearance.latents), (motion.expression, motion.rotation)):
        assert torch.isfinite(value).all()
        assert value.std() > 0
    assert appearance.tokens.shape == (16, 96)
    assert appearance.latents.shape == (4, 16, 16)
    rendered = list(animator.animate(appearance, motion, SamplerSettings(steps=2, padding=3)))
    assert len(rendered) == 6
    assert all(frame.shape == (128, 128, 3) and frame.dtype == np.uint8 for frame in rendered)
    assert min(frame.std() for frame in rendered) > 2, "a single colour would hide whether anything was computed"

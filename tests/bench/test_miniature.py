"""bench.miniature at its smallest: two clips of a few frames, one step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import miniature
from bench.miniature import VARIANTS
from bench.support.judge import FILE, SIDE, TRAITS, VERSION, JudgeNetwork
from bench.support.reenactment import ABLATIONS, animate, encode_clip, encode_stranger
from bench.support.report import main
from models.animator import load
from models.faces import open_detector
from models.miniature import SHIPPED_WEIGHTS
from models.tensorfile import write_tensors
from models.weights import detector_file
from troupe import SamplerSettings


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """A judge with random weights."""
    write_tensors(tmp_path / FILE.name, VERSION, JudgeNetwork().half().state_dict())
    return tmp_path / FILE.name


@pytest.mark.long
def test_every_target_is_checked(tmp_path: Path, judge: Path) -> None:
    out, pictures = tmp_path / "miniature.json", tmp_path / "pictures"
    words = ["--clips", "2", "--pairs", "1", "--frames", "4", "--timed", "1", "--steps", "1"]
    words += ["--device", "cpu", "--dtype", "float32", "--judge", str(judge), "--pictures", str(pictures)]
    main("miniature", miniature.parser(), miniature.measure, [*words, "--json", str(out)])
    found = json.loads(out.read_text())
    assert list(found["figures"]) == ["self-reenactment", "cross-reenactment", *VARIANTS]
    targets = {name: check["target"] for name, check in found["checks"].items()}
    assert targets == {
        "self_reenactment_psnr_db": 22,
        "self_reenactment_ssim": 0.80,
        "db_above_showing_the_still_portrait": 3,
        "cross_reenactment_yaw": 0.8,
        "cross_reenactment_pitch": 0.8,
        "cross_reenactment_roll": 0.8,
        "cross_reenactment_mouth": 0.6,
        "cross_reenactment_eyes": 0.6,
        "identity_found_among_100_share": 0.8,
        "sampling_steps": 10,
        "minutes": 25,
    }
    samples = found["samples"]
    assert {name: len(samples["self-reenactment"][name]) for name in ("psnr_db", "ssim", "gain_db")} == {
        "psnr_db": 2,
        "ssim": 2,
        "gain_db": 2,
    }
    assert [len(samples["cross-reenactment"][name]) for name in (*TRAITS, "yaw_true")] == [4] * 6
    # The sampler's optimisations change nothing but rounding; all presets have one step here.
    plain = samples["sketch, float32"]["psnr_db"][0]
    for name in ("sketch, one window a call", "sketch, motion projected each time", "sketch, a branch for nothing"):
        assert samples[name]["psnr_db"][0] == pytest.approx(plain, abs=0.01)
    with Image.open(pictures / "self-01.png") as sheet:
        assert sheet.size == (5 * SIDE, 2 * SIDE)
    assert (pictures / "cross-00.png").is_file()


@pytest.mark.long
def test_ablations_change_the_output_and_restore_the_model() -> None:
    animator, detector = load(SHIPPED_WEIGHTS, "cpu", "float32"), open_detector(detector_file(SHIPPED_WEIGHTS), "cpu")
    clip, _ = encode_clip(0, 3, animator, detector)
    settings = SamplerSettings(1, (1.0, 1.0), (1.0, 1.0), padding=0)
    subject = encode_stranger(0, animator, detector)
    full, _ = animate(animator, subject, clip, settings)
    for ablation in ABLATIONS:
        ablated, _ = animate(animator, subject, clip, settings, ablation)
        assert ablated.shape == full.shape == (3, SIDE, SIDE, 3)
        assert (ablated != full).any(), ablation
    assert np.array_equal(animate(animator, subject, clip, settings)[0], full)

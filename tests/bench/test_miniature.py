"""bench.miniature at its smallest: two clips of a few frames, one step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import miniature
from bench.cast import clip, stranger
from bench.miniature import ADAPTERS, BANK, INTENSITY, MOTION, WAYS, act
from bench.report import main
from bench.witness import FILE, SIDE, TOLD, VERSION, WitnessNetwork
from models.animator import load
from models.faces import open_detector
from models.miniature import SHIPPED_WEIGHTS
from models.tensorfile import write_tensors
from models.weights import detector_file
from troupe import SamplerSettings

ABLATIONS = (BANK, INTENSITY, ADAPTERS, MOTION)


@pytest.fixture
def witness(tmp_path: Path) -> Path:
    """One that has learned nothing."""
    write_tensors(tmp_path / FILE.name, VERSION, WitnessNetwork().half().state_dict())
    return tmp_path / FILE.name


@pytest.mark.long
def test_all_that_is_promised_is_looked_at(tmp_path: Path, witness: Path) -> None:
    out, pictures = tmp_path / "miniature.json", tmp_path / "pictures"
    words = ["--clips", "2", "--pairs", "1", "--frames", "4", "--ablated", "1", "--timed", "1", "--steps", "1"]
    words += ["--device", "cpu", "--dtype", "float32", "--witness", str(witness), "--pictures", str(pictures)]
    main("miniature", miniature.parser(), miniature.measure, [*words, "--json", str(out)])
    found = json.loads(out.read_text())
    assert list(found["figures"]) == ["self-reenactment", "cross-reenactment", "full model", *ABLATIONS, *WAYS]
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
        "full_model_over_the_best_ablation_db": 0,
        "sampling_steps": 10,
        "minutes": 25,
    }
    samples = found["samples"]
    assert {name: len(samples["self-reenactment"][name]) for name in ("psnr_db", "ssim", "gain_db")} == {
        "psnr_db": 2,
        "ssim": 2,
        "gain_db": 2,
    }
    assert [len(samples["cross-reenactment"][name]) for name in (*TOLD, "yaw_true")] == [4] * 6
    # The first of two clips is what the ablations look at.
    assert samples["full model"]["psnr_db"] == samples["self-reenactment"]["psnr_db"][:1]
    # What the sampler spares itself changes nothing but rounding; all presets have one step here.
    plain = samples["sketch, float32"]["psnr_db"][0]
    for name in ("sketch, one window a call", "sketch, motion projected each time", "sketch, a branch for nothing"):
        assert samples[name]["psnr_db"][0] == pytest.approx(plain, abs=0.01)
    with Image.open(pictures / "self-01.png") as sheet:
        assert sheet.size == (5 * SIDE, 2 * SIDE)
    assert (pictures / "cross-00.png").is_file()


def test_ablations_change_the_output_and_leave_the_model_as_it_was() -> None:
    animator, detector = load(SHIPPED_WEIGHTS, "cpu", "float32"), open_detector(detector_file(SHIPPED_WEIGHTS), "cpu")
    performance, _ = clip(0, 3, animator, detector)
    settings = SamplerSettings(1, (1.0, 1.0), (1.0, 1.0), padding=0)
    sitter = stranger(0, animator, detector)
    whole, _ = act(animator, sitter, performance, settings)
    for what in ABLATIONS:
        without, _ = act(animator, sitter, performance, settings, what)
        assert without.shape == whole.shape == (3, SIDE, SIDE, 3)
        assert (without != whole).any(), what
    assert np.array_equal(act(animator, sitter, performance, settings)[0], whole)

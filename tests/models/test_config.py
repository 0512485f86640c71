"""models.config: values that no network can be built from are refused with the values that it can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.config import ModelConfig
from models.miniature.init_weights import MINIATURE_CONFIG
from troupe.errors import WeightsError


@pytest.mark.parametrize(
    ("file", "entry", "value", "said"),
    [
        ("troupe.json", "window", 0, "troupe.json: window is 0; use 1 to 1024"),
        ("troupe.json", "window", -1, "troupe.json: window is -1; use 1 to 1024"),
        ("troupe.json", "image_size", 10**9, "troupe.json: image_size is 1000000000; use 1 to 16384"),
        ("troupe.json", "image_size", 130, "image_size is 130; use a multiple of 8"),
        ("troupe.json", "refiner.depth", 3_000_000, "troupe.json: refiner: depth is 3000000; use 1 to 256"),
        ("troupe.json", "appearance.heads", 0, "appearance: heads is 0; use 1 to 256"),
        ("troupe.json", "appearance.heads", 5, "appearance: width is 96, which 5 heads cannot share equally"),
        ("troupe.json", "appearance.adapter_blocks", [6], "adapter_blocks has 6, but the last of 6 blocks is 5"),
        ("unet/config.json", "layers_per_block", 10**6, "layers_per_block is 1000000; use 1 to 64"),
        ("unet/config.json", "block_out_channels", [64] * 100, "use 1 to 64 values"),
        ("unet/config.json", "block_out_channels", [], "use 1 to 64 values"),
        ("unet/config.json", "num_attention_heads", [1], "have different lengths"),
        ("vae/config.json", "scaling_factor", 0, "scaling_factor is 0.0; use a number greater than 0"),
        ("scheduler/scheduler_config.json", "sigma_max", float("inf"), "sigma_max is inf; use a number greater than 0"),
        ("scheduler/scheduler_config.json", "sigma_max", 0.001, "sigma_min is not less than sigma_max"),
    ],
)
def test_values_out_of_bounds(tmp_path: Path, file: str, entry: str, value: Any, said: str) -> None:
    MINIATURE_CONFIG.write(tmp_path)
    assert ModelConfig.read(tmp_path) == MINIATURE_CONFIG
    config = json.loads((tmp_path / file).read_text())
    *parts, name = entry.split(".")
    (config[parts[0]] if parts else config)[name] = value
    (tmp_path / file).write_text(json.dumps(config))
    with pytest.raises(WeightsError) as caught:
        ModelConfig.read(tmp_path)
    (problem,) = caught.value.problems
    assert said in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [("[" * 100_000, "nested too deeply"), (" " * 2_000_000 + "{}", "has 2000002 bytes"), ("{" + "9" * 9999, "")],
)
def test_configs_that_are_not_json(tmp_path: Path, text: str, said: str) -> None:
    MINIATURE_CONFIG.write(tmp_path)
    (tmp_path / "unet" / "config.json").write_text(text)
    with pytest.raises(WeightsError) as caught:
        ModelConfig.read(tmp_path)
    assert any(said in problem for problem in caught.value.problems)

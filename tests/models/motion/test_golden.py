"""The motion networks against the released implementation."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

from models.config import ModelConfig, RefinerConfig
from models.motion import (
    MotionRefiner,
    expression_encoder_for,
    head_pose_encoder_for,
    intensity,
    motion_tokens,
)
from tests.models import golden

POSE = 6


def refiner() -> MotionRefiner:
    """Build a refiner of the released tensors' sizes; their number of heads is only in the configuration."""
    shapes = golden.shapes("motion_proj.pth")
    levels, width = shapes["position_head.weight"]
    config = RefinerConfig(
        width=width,
        depth=sum(name.endswith(".attn.in_proj_weight") for name in shapes),
        latents=shapes["connector.latents"][0],
        levels=levels,
        expression=shapes["connector.proj_in.weight"][1],
    )
    return MotionRefiner(config, shapes["connector.proj_out.1.weight"][0] + POSE)


def build(module: str) -> nn.Module:
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in golden.shapes(module).items()}
        if module == "expression.pth":
            return expression_encoder_for(state)
        return head_pose_encoder_for(state) if module == "headpose.pth" else refiner()


def filled(module: str) -> nn.Module:
    network = build(module)
    network.load_state_dict(golden.weights(golden.shapes(module)), strict=True, assign=True)
    return network.requires_grad_(False).eval()


def crops(name: str) -> Tensor:
    size = ModelConfig().face_size
    return (0.25 * golden.noise(name, (golden.cases()["motion"]["frames"], 3, size, size)) + 0.5).clamp(0, 1)


@pytest.fixture(scope="module")
def expected() -> dict[str, Tensor]:
    return golden.outputs("motion.safetensors")


@pytest.fixture(scope="module")
def actual() -> dict[str, Tensor]:
    """Compute all outputs, with each network once."""
    golden.need("motion.safetensors")
    case = golden.cases()["motion"]
    levels = torch.tensor([[case["head_intensity"], case["expression_intensity"]]]).expand(case["frames"], -1)
    refine = filled("motion_proj.pth")
    width = golden.shapes("motion_proj.pth")["connector.proj_in.weight"][1]
    expression = filled("expression.pth")(crops("input.motion_face"))
    rotation, translation = filled("headpose.pth")(crops("input.motion_pose"))
    return {
        "expression": expression,
        "rotation": rotation,
        "translation": translation,
        "refined": refine(golden.noise("input.motion_features", (case["frames"], width)), levels),
        "motion_tokens": motion_tokens(refine(expression, levels), rotation),
    }


@pytest.mark.parametrize("module", ["expression.pth", "headpose.pth", "motion_proj.pth"])
def test_golden_names_and_shapes(module: str) -> None:
    assert golden.shapes_of(build(module)) == golden.shapes(module)


@pytest.mark.parametrize("name", ["expression", "rotation", "translation", "refined", "motion_tokens"])
def test_golden_motion(name: str, actual: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    golden.assert_close(actual[name], expected[name])


def test_golden_intensity() -> None:
    cases = json.loads(golden.need("preprocess_cases.json").read_text()).get("bucket", [])
    if not cases:
        pytest.skip("preprocess_cases.json has no bucket cases")
    assert [list(intensity(case["landmarks"])) for case in cases] == [case["out"] for case in cases]

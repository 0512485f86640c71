"""Sizes, ranges and precision of the two motion encoders; their values are in test_golden.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn

from models.motion import ExpressionEncoder, HeadPoseEncoder, expression_encoder_for, head_pose_encoder_for
from tests.models.golden import shapes_of
from troupe.errors import WeightsError

EXPRESSION_WIDTHS = (8, 12, 16, 20)
HEAD_POSE_WIDTHS = (32, 64, 32, 96)


def small_expression() -> ExpressionEncoder:
    torch.manual_seed(0)
    return ExpressionEncoder(EXPRESSION_WIDTHS, features=24).requires_grad_(False).eval()


def small_head_pose() -> HeadPoseEncoder:
    torch.manual_seed(0)
    return HeadPoseEncoder(HEAD_POSE_WIDTHS).requires_grad_(False).eval()


@pytest.mark.parametrize(
    ("encoder", "build"), [(small_expression, expression_encoder_for), (small_head_pose, head_pose_encoder_for)]
)
class TestBuiltFromTensors:
    def test_sizes_are_read_from_tensors(
        self, encoder: Callable[[], nn.Module], build: Callable[[Mapping[str, Tensor]], nn.Module]
    ) -> None:
        original = encoder()
        with torch.device("meta"):
            copy = build(original.state_dict())
        assert {tensor.device.type for tensor in copy.parameters()} == {"meta"}
        copy.load_state_dict(original.state_dict(), strict=True, assign=True)

        crops = torch.rand(2, 3, 64, 64)
        torch.testing.assert_close(copy.eval()(crops), original(crops))

    def test_sizes_do_not_depend_on_any_single_tensor(
        self, encoder: Callable[[], nn.Module], build: Callable[[Mapping[str, Tensor]], nn.Module]
    ) -> None:
        """Therefore only the missing tensor of a file is reported."""
        state = encoder().state_dict()
        wanted = shapes_of(encoder())
        for name in state:
            with torch.device("meta"):
                copy = build({key: value for key, value in state.items() if key != name})
            assert shapes_of(copy) == wanted, name

    def test_without_tensors_the_sizes_are_the_releases(
        self, encoder: Callable[[], nn.Module], build: Callable[[Mapping[str, Tensor]], nn.Module]
    ) -> None:
        with torch.device("meta"):
            assert shapes_of(build({})) == shapes_of(type(encoder())())


@pytest.mark.parametrize("build", [small_expression, small_head_pose])
def test_frames_of_a_batch_are_independent(build: Callable[[], nn.Module]) -> None:
    encoder = build()
    crops = torch.rand(3, 3, 64, 64)
    # One tensor or two. Angles are in degrees, so rounding errors are larger.
    together = torch.cat(_parts(encoder(crops)), dim=1)
    alone = torch.cat([torch.cat(_parts(encoder(crop[None])), dim=1) for crop in crops])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-3)


def _parts(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (result,) if isinstance(result, Tensor) else result


def test_expression_in_bfloat16_is_nearly_the_same() -> None:
    encoder, crops = small_expression(), torch.rand(2, 3, 64, 64)
    exact = encoder(crops)
    rough = encoder.to(torch.bfloat16)(crops.to(torch.bfloat16))
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() < 0.05 * exact.norm()


def test_head_pose_stays_in_its_range_and_in_float32() -> None:
    encoder = small_head_pose()
    encoder.head_pose_net.fc.bias.data = torch.tensor([100.0, -100.0, 0.0, 100.0, -100.0, 0.0])
    encoder.head_pose_net.fc.weight.data.zero_()
    for dtype in (torch.float32, torch.bfloat16):
        rotation, translation = encoder.to(dtype)(torch.rand(2, 3, 64, 64).to(dtype))
        torch.testing.assert_close(rotation, torch.tensor([[180.0, -180.0, 0.0]]).expand(2, -1))
        torch.testing.assert_close(translation, torch.tensor([[2.0, -2.0, 0.0]]).expand(2, -1))


@pytest.mark.parametrize("widths", [(32, 64, 48, 32), (0, 32, 32, 32)])
def test_head_pose_widths_must_be_multiples_of_32(widths: tuple[int, int, int, int]) -> None:
    with pytest.raises(WeightsError, match="multiples of 32"):
        HeadPoseEncoder(widths)

"""The denoiser and the pose guider against the released implementation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from models.denoiser import Context, Denoiser, PoseGuider
from tests.models import golden
from tests.models.networks import filled, unet_config

TOKENS = 64


@pytest.mark.parametrize("case", ["unet", "unet_tiny"])
def test_golden_names_and_shapes_of_the_unet(case: str) -> None:
    with torch.device("meta"):
        denoiser = Denoiser(unet_config(golden.cases()[case]["config"]))
    assert golden.shapes_of(denoiser) == golden.shapes(f"{case}.pth")


def test_golden_names_and_shapes_of_the_pipelines_unet() -> None:
    with torch.device("meta"):
        denoiser = Denoiser(unet_config(golden.cases()["pipeline_tiny"]["unet"]))
    assert golden.shapes_of(denoiser) == golden.shapes("e2e_tiny/unet")


@pytest.mark.parametrize("entry", ["pose_guider.pth", "e2e_tiny/pose_guider"])
def test_golden_names_and_shapes_of_the_pose_guider(entry: str) -> None:
    with torch.device("meta"):
        guider = PoseGuider(golden.shapes(entry)["conv_out.weight"][0])
    assert golden.shapes_of(guider) == golden.shapes(entry)


@pytest.mark.long
@pytest.mark.parametrize("case", ["unet_tiny", "unet"])
def test_golden_output_of_the_unet(case: str) -> None:
    expected = golden.outputs(f"{case}.safetensors")["noise_pred"]
    sizes = golden.cases()[case]
    config = unet_config(sizes["config"])
    batch, frames, latent, width = sizes["batch"], sizes["frames"], sizes["latent"], config.cross_attention_dim
    with torch.device("meta"):
        denoiser = Denoiser(config)
    denoiser = filled(denoiser, f"{case}.pth")
    appearance = golden.noise("input.appearance", (batch * frames, TOKENS, width))
    motion = golden.noise("input.motion", (batch * frames, TOKENS, width))
    windows = torch.arange(batch * frames).view(batch, frames)

    v = denoiser(
        golden.noise("input.sample", (batch, frames, config.in_channels, latent, latent)),
        torch.tensor([sizes["timestep"]]),
        torch.tensor([sizes["time_ids"]]),
        0.1 * golden.noise("input.pose_features", (batch, frames, config.block_out_channels[0], latent, latent)),
        (of_every_frame(denoiser, appearance, windows), denoiser.project_motion(motion, budget=2**40).of(windows)),
    )

    golden.assert_close(v, expected)


def of_every_frame(denoiser: Denoiser, appearance: Tensor, windows: Tensor) -> Context:
    """The golden inputs have a different appearance per frame, which does not occur in renders."""
    means = appearance[windows].mean(1)
    return Context(tuple(layer.project_appearance(appearance, means) for layer in denoiser.transformers))


def test_golden_output_of_the_pose_guider() -> None:
    expected = golden.outputs("pose_guider.safetensors")
    with torch.device("meta"):
        guider = PoseGuider(golden.shapes("pose_guider.pth")["conv_out.weight"][0])
    guider = filled(guider, "pose_guider.pth")
    condition = golden.noise("input.pose_condition", (1, 3, 2, 64, 64))
    # In the file, frames follow channels.
    golden.assert_close(guider(condition[0].transpose(0, 1)).transpose(0, 1)[None], expected["pose_features"])
    black = guider(torch.zeros(1, 3, 64, 64))
    golden.assert_close(black.transpose(0, 1)[None], expected["pose_features_of_zeros"])

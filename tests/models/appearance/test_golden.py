"""The appearance networks against the released implementation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import pytest
import torch
from torch import nn

from models.appearance import AppearanceProjector, VisionTransformer
from models.config import AppearanceConfig
from tests.models import golden

M = TypeVar("M", bound=nn.Module)


def released() -> AppearanceConfig:
    """Return the configuration of the released tensors, except for the number of heads."""
    shapes = golden.shapes("dino.pth")
    adapters = sorted(int(name.split(".")[1]) for name in shapes if name.endswith(".adapter.D_fc1.weight"))
    adapter = f"blocks.{adapters[0]}.adapter"
    config = AppearanceConfig(
        width=shapes["cls_token"][2],
        depth=sum(name.endswith(".attn.qkv.weight") for name in shapes),
        registers=shapes["register_tokens"][1],
        patch=shapes["patch_embed.proj.weight"][2],
        position_grid=math.isqrt(shapes["pos_embed"][1] - 1),
        adapter_width=shapes[f"{adapter}.D_fc1.weight"][0],
        adapter_attention=shapes[f"{adapter}.cross_attn.id_proj.weight"][0],
        adapter_blocks=tuple(adapters),
        identity=shapes[f"{adapter}.cross_attn.id_proj.weight"][1],
    )
    return projected(config, "image_proj.pth")


def tiny() -> AppearanceConfig:
    """Return the configuration of the tiny pipeline; its pictures are smaller than its position table."""
    case = golden.cases()["pipeline_tiny"]
    vit = case["vit"]
    config = AppearanceConfig(
        width=vit["dim"],
        depth=vit["depth"],
        heads=vit["heads"],
        registers=vit["registers"],
        patch=vit["patch_size"],
        position_grid=vit["image_size"] // vit["patch_size"],
        adapter_width=vit["adapter_dim"],
        adapter_blocks=tuple(vit["adapter_blocks"]),
    )
    config = projected(config, "e2e_tiny/image_proj")
    assert config.tokens == case["appearance_tokens"]
    return config


def projected(config: AppearanceConfig, module: str) -> AppearanceConfig:
    """Add the sizes of picture and output, from the projector's tensors."""
    tokens, sequence = golden.shapes(module)["weight"]
    grid = math.isqrt(sequence - 1 - config.registers)
    config = replace(config, tokens=tokens, input_size=grid * config.patch)
    assert config.sequence == sequence
    return config


def filled(network: M, module: str) -> M:
    network.load_state_dict(golden.weights(golden.shapes(module)), strict=True, assign=True)
    return network.requires_grad_(False).eval()


def test_golden_names_and_shapes_of_the_release() -> None:
    with torch.device("meta"):
        config = released()
        assert golden.shapes_of(VisionTransformer(config)) == golden.shapes("dino.pth")
        assert golden.shapes_of(AppearanceProjector(config)) == golden.shapes("image_proj.pth")


def test_golden_names_and_shapes_of_the_tiny_pipeline() -> None:
    golden.shapes("e2e_tiny/dino")
    with torch.device("meta"):
        config = tiny()
        assert golden.shapes_of(VisionTransformer(config)) == golden.shapes("e2e_tiny/dino")
        assert golden.shapes_of(AppearanceProjector(config)) == golden.shapes("e2e_tiny/image_proj")


def test_golden_appearance() -> None:
    expected = golden.outputs("appearance.safetensors")
    config = released()
    with torch.device("meta"):
        transformer, projector = VisionTransformer(config), AppearanceProjector(config)
    transformer = filled(transformer, "dino.pth")
    projector = filled(projector, "image_proj.pth")
    identity = golden.noise("input.arcface_embedding", (1, 1, config.identity))[:, 0]
    image = golden.noise("input.dino_image", (1, 3, config.input_size, config.input_size))

    tokens = transformer(image, identity / identity.norm())

    golden.assert_close(tokens, expected["dino_tokens"])
    golden.assert_close(projector(tokens), expected["appearance_tokens"])


@pytest.mark.parametrize("module", ["dino.pth", "e2e_tiny/dino"])
def test_golden_networks_are_built_without_memory(module: str) -> None:
    golden.shapes(module)
    with torch.device("meta"):
        network = VisionTransformer(released() if module == "dino.pth" else tiny())
    assert {tensor.device.type for tensor in (*network.parameters(), *network.buffers())} == {"meta"}

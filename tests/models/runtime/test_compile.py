"""Compiled blocks give the same results as uncompiled ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from models.denoiser.resnet import ResBlock
from models.denoiser.transformer import Transformer
from models.runtime.compile import compile_blocks
from tests.models import golden
from tests.models.networks import SMALL, TIME_IDS, randn, small_denoiser

FRAMES, SIZE = 3, 16
# Every kind of block, few of each; every shape is compiled once.
UNET = replace(SMALL, block_out_channels=(32,) * 4, num_attention_heads=(1, 1, 2, 2), layers_per_block=1)


@pytest.mark.long
def test_every_block_is_compiled_and_the_network_is_restored() -> None:
    denoiser = small_denoiser(UNET)
    sample, pose = randn(2, FRAMES, 8, SIZE, SIZE), 0.1 * randn(UNET.block_out_channels[0], SIZE, SIZE)
    appearance = denoiser.project_appearance(randn(5, UNET.cross_attention_dim))
    motion = denoiser.project_motion(randn(6, 7, UNET.cross_attention_dim), 2**30)
    conditions = (appearance, motion.of(torch.arange(6).view(2, 3)))
    arguments = (sample, torch.tensor([1.2]), TIME_IDS, pose, conditions)
    names = list(denoiser.state_dict())
    expected = denoiser(*arguments)
    compile_blocks(denoiser, backend="aot_eager")
    golden.assert_close(denoiser(*arguments), expected)
    assert list(denoiser.state_dict()) == names
    compiled = [block for block in denoiser.modules() if block._compiled_call_impl is not None]
    assert compiled == [block for block in denoiser.modules() if isinstance(block, ResBlock | Transformer)]


@pytest.mark.slow
def test_compiled_code_gives_the_same_results() -> None:
    denoiser = small_denoiser(UNET)
    sample, pose = randn(1, FRAMES, 8, SIZE, SIZE), 0.1 * randn(UNET.block_out_channels[0], SIZE, SIZE)
    expected = denoiser(sample, torch.tensor([1.2]), TIME_IDS, pose)
    compile_blocks(denoiser)
    golden.assert_close(denoiser(sample, torch.tensor([1.2]), TIME_IDS, pose), expected)

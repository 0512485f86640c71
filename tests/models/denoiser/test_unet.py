"""The whole denoiser: absent contexts, independence of windows, precision, gradients and cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from models.config import UNetConfig
from models.denoiser import Context, Denoiser
from models.denoiser.resnet import ResBlock
from models.denoiser.transformer import Transformer
from tests.models import golden
from tests.models.networks import SMALL, TIME_IDS, randn, small_denoiser
from troupe.errors import WeightsError

FRAMES, TOKENS, CLIP = 3, 5, 6
SIZE = 16  # with smaller ones, the innermost norms have two values per group, which amplifies rounding
TIMESTEP = torch.tensor([1.234])


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return small_denoiser()


def pose(size: int = SIZE) -> Tensor:
    return 0.1 * randn(SMALL.block_out_channels[0], size, size, seed=5)


def contexts(denoiser: Denoiser, windows: Tensor, scale: tuple[float, float] = (1, 1)) -> tuple[Context, Context]:
    appearance = scale[0] * randn(TOKENS, SMALL.cross_attention_dim, seed=1)
    motion = scale[1] * randn(CLIP, TOKENS + 2, SMALL.cross_attention_dim, seed=2)
    return denoiser.project_appearance(appearance), denoiser.project_motion(motion, 2**30).of(windows)


def test_absent_contexts_are_zeros(denoiser: Denoiser) -> None:
    sample, windows = randn(1, FRAMES, 8, SIZE, SIZE), torch.arange(FRAMES)[None]

    def v(conditions: tuple[Context, ...]) -> Tensor:
        return denoiser(sample, TIMESTEP, TIME_IDS, pose(), conditions)

    appearance, silence = contexts(denoiser, windows, (1, 0))
    golden.assert_close(v((appearance,)), v((appearance, silence)))
    golden.assert_close(v(()), v(contexts(denoiser, windows, (0, 0))))
    everything = v(contexts(denoiser, windows))
    assert not torch.allclose(v(()), v((appearance,)), atol=1e-3)
    assert not torch.allclose(everything, v((appearance,)), atol=1e-3)


def test_windows_of_a_call_are_independent(denoiser: Denoiser) -> None:
    sample = randn(3, FRAMES, 8, SIZE, SIZE)
    windows = torch.tensor([[0, 1, 2], [2, 3, 4], [5, 0, 0]])
    together = denoiser(sample, TIMESTEP, TIME_IDS, pose(), contexts(denoiser, windows))
    for one in range(3):
        row = slice(one, one + 1)
        alone = denoiser(sample[row], TIMESTEP, TIME_IDS, pose(), contexts(denoiser, windows[row]))
        golden.assert_close(together[row], alone)


def test_windows_may_have_different_timesteps(denoiser: Denoiser) -> None:
    sample = randn(2, FRAMES, 8, SIZE, SIZE)
    times, numbers = torch.tensor([0.3, 1.2]), torch.tensor([[12.5, 0, 0], [25, 3, 0.1]])
    together = denoiser(sample, times, numbers, pose())
    for one in range(2):
        row = slice(one, one + 1)
        alone = denoiser(sample[row], times[row], numbers[row], pose())
        golden.assert_close(together[row], alone)
    assert not torch.allclose(together, denoiser(sample, times[:1], numbers[:1], pose()), atol=1e-3)


def test_the_order_of_frames_matters(denoiser: Denoiser) -> None:
    sample = randn(1, FRAMES, 8, SIZE, SIZE)
    forward = denoiser(sample, TIMESTEP, TIME_IDS, pose())
    backward = denoiser(sample.flip(1), TIMESTEP, TIME_IDS, pose()).flip(1)
    assert not torch.allclose(forward, backward, atol=1e-3)


@pytest.mark.parametrize("size", [4, 10, 17])
def test_sizes_that_do_not_halve_evenly(denoiser: Denoiser, size: int) -> None:
    v = denoiser(randn(1, 2, 8, size, size), TIMESTEP, TIME_IDS, pose(size))
    assert v.shape == (1, 2, 4, size, size)
    assert v.isfinite().all()


def test_bfloat16_is_close() -> None:
    sample, windows = randn(1, FRAMES, 8, SIZE, SIZE), torch.arange(FRAMES)[None]
    precise = small_denoiser()
    coarse = small_denoiser().to(torch.bfloat16)
    expected = precise(sample, TIMESTEP, TIME_IDS, pose(), contexts(precise, windows))
    found = coarse(sample.bfloat16(), TIMESTEP, TIME_IDS, pose().bfloat16(), contexts(coarse, windows))
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).norm() < 0.05 * expected.norm()


def test_every_weight_can_be_trained() -> None:
    denoiser = small_denoiser().requires_grad_(True)
    windows = torch.tensor([[0, 1, 2], [1, 2, 3]])
    v = denoiser(randn(2, FRAMES, 8, SIZE, SIZE), TIMESTEP, TIME_IDS, pose(), contexts(denoiser, windows))
    v.square().mean().backward()
    without = [name for name, p in denoiser.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


def test_gradients_equal_finite_differences() -> None:
    torch.manual_seed(0)
    block = Transformer(32, 2, 6).double()
    frames = torch.randn(2, 3, 6, dtype=torch.double)
    conditions = [block.project_motion(frames, frames.mean(0, keepdim=True))]
    x = torch.randn(2, 32, 1, 2, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: block(x, 2, conditions), x, fast_mode=True)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_repeated_blocks_are_whole_graphs(denoiser: Denoiser, count: int) -> None:
    """As regional compilation requires: no graph break inside a block, with any contexts."""
    windows = torch.arange(FRAMES)[None]
    conditions = [context.layers[0] for context in contexts(denoiser, windows)][:count]
    block = next(m for m in denoiser.modules() if isinstance(m, Transformer))
    x = randn(FRAMES, block.width, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
    compiled = torch.compile(block, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, FRAMES, conditions), block(x, FRAMES, conditions))


def test_residual_blocks_are_whole_graphs(denoiser: Denoiser) -> None:
    block = next(m for m in denoiser.modules() if isinstance(m, ResBlock))
    x, activated = randn(FRAMES, 32, 8, 8), randn(1, 128)
    compiled = torch.compile(block, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, activated, FRAMES), block(x, activated, FRAMES))


def test_the_denoiser_is_built_on_meta() -> None:
    with torch.device("meta"):
        denoiser = Denoiser(UNetConfig())
    assert {p.device.type for p in denoiser.parameters()} == {"meta"}
    assert not list(denoiser.buffers())
    assert sum(p.numel() for p in denoiser.parameters()) == pytest.approx(1575.7e6, rel=1e-4)


@pytest.mark.parametrize("heads", [(1, 2, 2), (1, 2, 2, 5), (0, 1, 1, 1)])
def test_heads_that_do_not_divide_the_width_are_refused(heads: tuple[int, ...]) -> None:
    with pytest.raises(WeightsError, match="num_attention_heads"), torch.device("meta"):
        Denoiser(replace(SMALL, num_attention_heads=heads))


@pytest.mark.long
def test_cost_of_a_frame_at_full_size() -> None:
    """Matrix products and convolutions; on a CPU the counter does not include attention itself."""
    config, window, latent, tokens = UNetConfig(), 25, 64, 64
    with FakeTensorMode():
        denoiser = Denoiser(config).requires_grad_(False)
        appearance = denoiser.project_appearance(torch.empty(tokens, config.cross_attention_dim))
        motion = denoiser.project_motion(torch.empty(window, tokens, config.cross_attention_dim), 2**40)

        def flops(conditions: tuple[Context, ...]) -> float:
            sample = torch.empty(1, window, config.in_channels, latent, latent)
            with FlopCounterMode(display=False) as counter:
                feature = torch.empty(config.block_out_channels[0], latent, latent)
                denoiser(sample, torch.empty(1), torch.empty(1, 3), feature, conditions)
            return counter.get_total_flops() / window

        nothing = flops(())
        full = flops((appearance, motion.of(torch.arange(window)[None])))
        only_appearance = flops((appearance,))
    assert nothing < only_appearance <= full
    assert (nothing + full) / 2 <= 1.13e12
    assert (nothing + only_appearance + full) / 3 <= 1.13e12


def test_transformers_are_in_the_order_in_which_they_run(denoiser: Denoiser) -> None:
    ran: list[nn.Module] = []
    hooks = [t.register_forward_pre_hook(lambda module, _: ran.append(module)) for t in denoiser.transformers]
    denoiser(randn(1, 1, 8, SIZE, SIZE), TIMESTEP, TIME_IDS, pose())
    for hook in hooks:
        hook.remove()
    assert ran == denoiser.transformers

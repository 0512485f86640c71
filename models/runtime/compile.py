"""Compiling the denoiser: block by block, so that it takes tens of seconds, not the many minutes of the whole."""

from __future__ import annotations

from models.denoiser import Denoiser
from models.denoiser.resnet import ResBlock
from models.denoiser.transformer import Transformer

__all__ = ["compile_blocks"]

MOST_VARIANTS = 64
"""Of each kind of block: widths, sizes of maps, what is heard, and whether the last call has fewer windows."""


def compile_blocks(denoiser: Denoiser, backend: str = "inductor") -> None:
    """Have torch compile every block of `denoiser` when it is first used.

    Blocks of the same shape share what is compiled, and torch keeps it on disk for later processes.

    Args:
        backend: of torch's.
    """
    for block in denoiser.modules():
        if isinstance(block, ResBlock | Transformer):
            block.compile(fullgraph=True, backend=backend, recompile_limit=MOST_VARIANTS)

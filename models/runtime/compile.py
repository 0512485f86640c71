"""Compilation of the denoiser block by block: tens of seconds instead of many minutes for the whole network."""

from __future__ import annotations

from models.denoiser import Denoiser
from models.denoiser.resnet import ResBlock
from models.denoiser.transformer import Transformer

__all__ = ["compile_blocks"]

RECOMPILE_LIMIT = 64
"""Variants per kind of block: widths, map sizes, contexts passed, and a last call with fewer windows."""


def compile_blocks(denoiser: Denoiser, backend: str = "inductor") -> None:
    """Mark every block of `denoiser` for compilation on first use.

    Blocks of the same shape share the compiled code, and torch caches it on disk for later processes.

    Args:
        backend: name of the torch.compile backend.
    """
    for block in denoiser.modules():
        if isinstance(block, ResBlock | Transformer):
            block.compile(fullgraph=True, backend=backend, recompile_limit=RECOMPILE_LIMIT)

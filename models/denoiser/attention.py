"""Self- and cross-attention of the denoiser.

Module names are those of the checkpoint, where the second context's projections belong to a `processor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from models.attention import attend
from models.denoiser.conditioning import KeysValues

__all__ = ["CrossAttention", "SelfAttention"]


class SelfAttention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: channels of the tokens, in and out.
        heads: number of attention heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Tensor, along: int = -2) -> Tensor:
        """Attend along one dimension; all others but the last are batch.

        Args:
            x: (..., C).
            along: the dimension, from the end.

        Returns:
            The same shape.
        """
        # A window's pixels have a constant stride along time too, so that nothing is copied here or below.
        q, k, v = (
            _split(project(x).movedim(along, -2).flatten(0, -3), self.heads)
            for project in (self.to_q, self.to_k, self.to_v)
        )
        attended = _join(attend(q, k, v))
        attended = attended.reshape(x.movedim(along, -2).shape).movedim(-2, along)
        # Contiguous, or the projection would become one small product for every sequence.
        out: Tensor = self.to_out[0](attended.contiguous())
        return out


class CrossAttention(nn.Module):
    """Multi-head attention to appearance and motion, each with its own softmax, summed before one output projection.

    Keys and values come from outside: they do not depend on the noisy latents, so `appearance` and `motion` project
    them once for all steps.

    Args:
        width: channels of queries and output.
        heads: number of attention heads.
        context_width: width of the context tokens.
    """

    def __init__(self, width: int, heads: int, context_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(context_width, width, bias=False)
        self.to_v = nn.Linear(context_width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.processor = _MotionProjections(width, context_width)

    def appearance(self, tokens: Tensor) -> KeysValues:
        """Keys and values (N, T, C) of appearance tokens (N, T, D)."""
        return KeysValues(self.to_k(tokens), self.to_v(tokens))

    def motion(self, tokens: Tensor) -> KeysValues:
        """Keys and values (N, T, C) of motion tokens (N, T, D)."""
        return KeysValues(self.processor.to_k_ip[0](tokens), self.processor.to_v_ip[0](tokens))

    def forward(self, x: Tensor, contexts: Sequence[KeysValues]) -> Tensor:
        """Attend to all of `contexts`, at least one.

        Args:
            x: (..., C); its tokens are assigned to the groups of each context evenly, in order.

        Returns:
            The same shape.
        """
        q = self.to_q(x)
        first, *others = contexts
        attended = self._attend(q, first)
        for context in others:
            attended = attended + self._attend(q, context)
        out: Tensor = self.to_out[0](attended)
        return out

    def unconditional(self) -> Tensor:
        """Return the output for all-zero contexts: only the output projection's bias (C,) remains."""
        return cast("nn.Linear", self.to_out[0]).bias

    def _attend(self, q: Tensor, context: KeysValues) -> Tensor:
        """Attend from queries (..., C) to one context, without the output projection."""
        grouped = q.view(len(context.keys), -1, q.shape[-1])
        k, v = _split(context.keys, self.heads), _split(context.values, self.heads)
        return _join(attend(_split(grouped, self.heads), k, v)).reshape(q.shape)


class _MotionProjections(nn.Module):
    def __init__(self, width: int, context_width: int) -> None:
        super().__init__()
        self.to_k_ip = nn.ModuleList([nn.Linear(context_width, width, bias=False)])
        self.to_v_ip = nn.ModuleList([nn.Linear(context_width, width, bias=False)])


def _split(x: Tensor, heads: int) -> Tensor:
    """(N, L, C) -> (N, heads, L, C / heads)."""
    return x.view(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2)


def _join(x: Tensor) -> Tensor:
    """(N, heads, L, C / heads) -> (N, L, C)."""
    return x.transpose(1, 2).flatten(2)

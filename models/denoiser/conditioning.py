"""Conditioning, projected once to the keys and values of every cross-attention layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Context", "KeysValues", "LayerContext", "MotionContext"]


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of one attention layer, heads not yet split.

    Attributes:
        keys, values: (N, T, C) each. The N groups of T tokens are assigned to the queries evenly, in order: with one
            group, every query sees the same tokens.
    """

    keys: Tensor
    values: Tensor

    def take(self, groups: Tensor) -> KeysValues:
        """Select groups by index (n,)."""
        return KeysValues(self.keys[groups], self.values[groups])

    def mean(self, groups: Tensor) -> KeysValues:
        """Average the groups of each row of indices (n, k) into one group.

        Projections have no bias, so this is the projection of the mean token.
        """
        return KeysValues(self.keys[groups].mean(1), self.values[groups].mean(1))


@dataclass(frozen=True)
class LayerContext:
    """Keys and values of one condition, appearance or motion, for one transformer.

    Attributes:
        spatial: for attention inside a frame: one group for all frames, or one per frame.
        temporal: for the block along time: one group for all windows, or one per window.
    """

    spatial: KeysValues
    temporal: KeysValues


@dataclass(frozen=True)
class Context:
    """Keys and values of one condition, appearance or motion, for every transformer of the denoiser."""

    layers: tuple[LayerContext, ...]

    @property
    def bytes(self) -> int:
        """Size of its keys and values."""
        parts = [part for layer in self.layers for part in (layer.spatial, layer.temporal)]
        return sum(part.keys.nbytes + part.values.nbytes for part in parts)


class MotionContext:
    """Motion of a whole clip, from which every step selects its windows.

    Keys and values of all frames are projected once, here, if they fit `budget` bytes. Otherwise only the tokens are
    kept and each window's are projected when needed, which at full size adds 0.3% to the window's denoising.

    Args:
        project: the denoiser's projection: (frame tokens (n, M, D), window tokens (m, M, D)) -> context.
        tokens: (F, M, D).
        frame_bytes: bytes of the keys and values of one frame.
        budget: bytes that all frames together may take.
    """

    def __init__(
        self, project: Callable[[Tensor, Tensor], Context], tokens: Tensor, frame_bytes: int, budget: int
    ) -> None:
        self._project = project
        self._tokens = tokens
        # Temporal layers attend to a window's mean, but any frames can form a window, so these are kept by frame too.
        self._kept = project(tokens, tokens) if frame_bytes * len(tokens) <= budget else None

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def kept(self) -> bool:
        """Whether the keys and values of the whole clip are in memory."""
        return self._kept is not None

    def of(self, windows: Tensor) -> Context:
        """Return the context of a batch of windows.

        Args:
            windows: (B, W) frame indices.

        Returns:
            One spatial group for each of the B * W frames, one temporal group for each of the B windows.
        """
        frames = windows.flatten()
        if self._kept is None:
            tokens = self._tokens[frames]
            return self._project(tokens, tokens.view(*windows.shape, *tokens.shape[1:]).mean(1))
        return Context(
            tuple(LayerContext(layer.spatial.take(frames), layer.temporal.mean(windows)) for layer in self._kept.layers)
        )

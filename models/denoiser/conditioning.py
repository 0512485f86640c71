"""What the denoiser is told, already projected to the keys and values of every layer that listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Context", "KeysValues", "LayerContext", "MotionContext"]


@dataclass(frozen=True)
class KeysValues:
    """Keys and values of one attention layer, heads not yet split.

    Attributes:
        keys, values: (N, T, C) each. The N groups of T tokens share out the queries evenly, in order: one group
            means that every query sees the same tokens.
    """

    keys: Tensor
    values: Tensor

    def take(self, groups: Tensor) -> KeysValues:
        """The groups of these indices (n,), in this order."""
        return KeysValues(self.keys[groups], self.values[groups])

    def mean(self, groups: Tensor) -> KeysValues:
        """For each row of indices (n, k) the mean of its groups, as one group.

        Projections have no bias, so this is the projection of the mean token.
        """
        return KeysValues(self.keys[groups].mean(1), self.values[groups].mean(1))


@dataclass(frozen=True)
class LayerContext:
    """One condition, appearance or motion, as one transformer hears it.

    Attributes:
        spatial: for attention inside a frame: one group for all frames, or one a frame.
        temporal: for the block along time: one group for all windows, or one a window.
    """

    spatial: KeysValues
    temporal: KeysValues


@dataclass(frozen=True)
class Context:
    """One condition, appearance or motion, as the whole denoiser hears it: transformer by transformer."""

    layers: tuple[LayerContext, ...]

    @property
    def bytes(self) -> int:
        """Memory its keys and values take."""
        parts = [part for layer in self.layers for part in (layer.spatial, layer.temporal)]
        return sum(part.keys.nbytes + part.values.nbytes for part in parts)


class MotionContext:
    """The motion of a whole clip, from which every step takes its windows.

    Keys and values of all frames are projected once, here, if they fit `budget` bytes. Else only the tokens are kept
    and those of a window are projected when it is asked for, which at full size adds 0.3% to the window's denoising.

    Args:
        project: (tokens of frames (n, M, D), tokens of windows (m, M, D)) -> context; the denoiser's.
        tokens: (F, M, D).
        frame_bytes: what the keys and values of one frame take.
        budget: what they may take altogether.
    """

    def __init__(
        self, project: Callable[[Tensor, Tensor], Context], tokens: Tensor, frame_bytes: int, budget: int
    ) -> None:
        self._project = project
        self._tokens = tokens
        # Temporal layers hear a window's mean, but any frames can form a window, so these are kept by frame too.
        self._kept = project(tokens, tokens) if frame_bytes * len(tokens) <= budget else None

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def kept(self) -> bool:
        """Whether the keys and values of the whole clip are in memory."""
        return self._kept is not None

    def of(self, windows: Tensor) -> Context:
        """The context of a batch of windows.

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

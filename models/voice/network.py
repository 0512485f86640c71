"""The voice: from log-mel spectra to the part of an expression that the sound determines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.voice.log_mel import BANDS

__all__ = ["VoiceConfig", "VoiceNetwork"]


@dataclass(frozen=True)
class VoiceConfig:
    """Sizes of a voice.

    Attributes:
        expression: length of an expression feature.
        rank: number of directions of the feature that may be exchanged.
        width: channels of the convolutions.
        dilations: of the convolutions over time, in spectra; with the first one, they look some 300 ms either way.
    """

    expression: int
    rank: int = 16
    width: int = 96
    dilations: tuple[int, ...] = (1, 2, 4, 8, 12)

    @property
    def reach(self) -> int:
        """Number of spectra on either side that a value depends on."""
        return _FIRST + sum(self.dilations)


_FIRST = 2
"""Spectra on either side that the first convolution sees."""


class VoiceNetwork(nn.Module):
    """Convolutions over time, and the subspace of the expression features that they predict.

    A feature e becomes e - (u Q) Q' s + c Q' s, with u = (e - mean) / scale: the coordinates in the subspace Q are
    exchanged for the predicted c, and what is orthogonal to it stays.

    Example:
        >>> voice = VoiceNetwork(VoiceConfig(expression=512))
        >>> voice(torch.zeros(1, 100 + 2 * voice.config.reach, 80)).shape
        torch.Size([1, 100, 16])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, config: VoiceConfig) -> None:
        super().__init__()
        self.config = config
        self.conv_in = nn.Conv1d(BANDS, config.width, 2 * _FIRST + 1)
        self.blocks = nn.ModuleList(_Block(config.width, dilation) for dilation in config.dilations)
        self.conv_out = nn.Conv1d(config.width, config.rank, 1)
        self.directions = nn.Parameter(0.1 * torch.randn(config.expression, config.rank))
        self.register_buffer("mean", torch.zeros(config.expression))
        self.register_buffer("scale", torch.ones(()))

    @property
    def subspace(self) -> Tensor:
        """(E, rank) orthonormal directions."""
        columns, upper = torch.linalg.qr(self.directions)
        # With the signs that leave orthonormal directions as they are.
        subspace: Tensor = columns * torch.where(upper.diagonal() < 0, -1.0, 1.0)
        return subspace

    def forward(self, spectra: Tensor) -> Tensor:
        """
        Args:
            spectra: (B, T + 2 * reach, 80) normalised.

        Returns:
            (B, T, rank) coordinates in the subspace.
        """
        x = F.gelu(self.conv_in(spectra.transpose(1, 2)))
        for block in self.blocks:
            x = block(x)
        coordinates: Tensor = self.conv_out(x).transpose(1, 2)
        return coordinates

    def exchange(self, features: Tensor, coordinates: Tensor) -> Tensor:
        """Exchange the coordinates of features (..., E) for others (..., rank)."""
        subspace = self.subspace
        own = (features - self.mean) / self.scale @ subspace
        return features + (coordinates - own) @ subspace.T * self.scale

    @torch.inference_mode()
    def stream(self, spectra: Iterable[Tensor], chunk: int = 1000) -> Iterator[Tensor]:
        """Yield coordinates (N, rank) for a stream of normalised spectra (N, 80), as many in all.

        They do not depend on how the stream is split; before and after it is silence. Memory does not grow.
        """
        silence = torch.zeros(self.config.reach, BANDS)
        held = silence
        for more in chain(spectra, [silence]):
            held = torch.cat([held, more])
            while len(held) >= chunk + 2 * self.config.reach:
                yield self._coordinates(held[: chunk + 2 * self.config.reach])
                held = held[chunk:]
        if len(held) > 2 * self.config.reach:
            yield self._coordinates(held)

    def _coordinates(self, spectra: Tensor) -> Tensor:
        coordinates: Tensor = self(spectra[None].to(self.mean.device))[0].cpu()
        return coordinates


class _Block(nn.Module):
    """A dilated convolution and a linear layer beside a shortcut; shortens by the dilation on either side."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.conv = nn.Conv1d(width, width, 3, dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        inner = x[..., self.dilation : -self.dilation]
        changed: Tensor = self.out(F.gelu(self.conv(x)))
        return inner + changed

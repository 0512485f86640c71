"""Expression encoder: facial expression as one vector per frame (HunyuanPortrait, arXiv 2503.18860, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from models.motion.widths import RELEASED_WIDTHS, Widths, rows, stage_widths

__all__ = ["ExpressionEncoder", "expression_encoder_for"]

PREFIX = "resnet50."
DEPTHS = (3, 4, 6, 3)
EXPANSION = 4
FEATURES = 512


class ExpressionEncoder(nn.Module):
    """A ResNet-50 whose every normalisation is a GroupNorm of one group.

    Args:
        widths: inner width of the blocks in each of the four stages; the first is also the stem's.
        features: length of the output vector.

    Example:
        >>> ExpressionEncoder()(torch.rand(2, 3, 256, 256)).shape
        torch.Size([2, 512])
    """

    def __init__(self, widths: Widths = RELEASED_WIDTHS, features: int = FEATURES) -> None:
        super().__init__()
        self.resnet50 = _ResNet(widths, features)

    def forward(self, crops: Tensor) -> Tensor:
        """
        Args:
            crops: (F, 3, s, s) face crops in [0, 1], in the weights' dtype.

        Returns:
            (F, features).
        """
        features: Tensor = self.resnet50(crops)
        return features


def expression_encoder_for(state: Mapping[str, Tensor]) -> ExpressionEncoder:
    """Build an encoder whose sizes match these tensors, without values, on torch's default device."""
    features = rows(state, FEATURES, f"{PREFIX}fc.weight", f"{PREFIX}fc.bias")
    return ExpressionEncoder(stage_widths(state, PREFIX, "gn"), features)


class _ResNet(nn.Module):
    def __init__(self, widths: Widths, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.gn1 = nn.GroupNorm(1, widths[0])
        self.layer1 = _stage(widths[0], widths[0], DEPTHS[0], stride=1)
        self.layer2 = _stage(widths[0] * EXPANSION, widths[1], DEPTHS[1], stride=2)
        self.layer3 = _stage(widths[1] * EXPANSION, widths[2], DEPTHS[2], stride=2)
        self.layer4 = _stage(widths[2] * EXPANSION, widths[3], DEPTHS[3], stride=2)
        self.fc = nn.Linear(widths[3] * EXPANSION, features)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.gn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        pooled: Tensor = self.fc(x.mean(dim=(2, 3)))
        return pooled


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 about a shortcut; the 3x3 carries the stride."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = width * EXPANSION
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.gn1 = nn.GroupNorm(1, width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.gn2 = nn.GroupNorm(1, width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.gn3 = nn.GroupNorm(1, out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride=stride, bias=False), nn.GroupNorm(1, out)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.gn1(self.conv1(x)))
        x = F.relu(self.gn2(self.conv2(x)))
        return F.relu(self.gn3(self.conv3(x)) + shortcut)


def _stage(channels: int, width: int, depth: int, stride: int) -> nn.Sequential:
    later = (_Bottleneck(width * EXPANSION, width, 1) for _ in range(depth - 1))
    return nn.Sequential(_Bottleneck(channels, width, stride), *later)

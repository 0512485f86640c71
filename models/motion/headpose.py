"""Head-pose encoder: rotation and translation of the head (HunyuanPortrait, arXiv 2503.18860, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from models.motion.widths import RELEASED_WIDTHS, Widths, stage_widths
from troupe.errors import WeightsError

__all__ = ["HeadPoseEncoder", "head_pose_encoder_for"]

PREFIX = "head_pose_net."
GROUPS = 32
DEPTH = 2
ANGLES = 3


class HeadPoseEncoder(nn.Module):
    """A ResNet-18 with GroupNorm of 32 groups, read out as bounded rotation and translation.

    Args:
        widths: channels of the four stages, multiples of 32; the first is also the stem's.

    Raises:
        WeightsError: a width is not a multiple of 32.

    Example:
        >>> rotation, translation = HeadPoseEncoder()(torch.rand(2, 3, 256, 256))
        >>> rotation.shape, translation.shape
        (torch.Size([2, 3]), torch.Size([2, 3]))
    """

    def __init__(self, widths: Widths = RELEASED_WIDTHS) -> None:
        super().__init__()
        if any(width % GROUPS or width < 1 for width in widths):
            raise WeightsError(f"the head-pose encoder's stages have {widths} channels; these must be multiples of 32")
        self.head_pose_net = _ResNet(widths)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            crops: (F, 3, s, s) head crops in [0, 1], in the weights' dtype. The network sees them times 2 plus 1:
                the release does this, so its weights expect it.

        Returns:
            rotation (F, 3) in degrees, -180..180, and translation (F, 3), -2..2; float32 whatever the weights' dtype,
            as a 16-bit angle is a degree off.
        """
        out = self.head_pose_net(crops * 2 + 1).float().sigmoid()
        return out[:, :ANGLES] * 360 - 180, out[:, ANGLES:] * 4 - 2


def head_pose_encoder_for(state: Mapping[str, Tensor]) -> HeadPoseEncoder:
    """Build an encoder whose sizes match these tensors, without values, on torch's default device.

    Raises:
        WeightsError: a width is not a multiple of 32.
    """
    return HeadPoseEncoder(stage_widths(state, PREFIX, "bn"))


class _ResNet(nn.Module):
    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.GroupNorm(GROUPS, widths[0])
        self.layer1 = _stage(widths[0], widths[0], stride=1)
        self.layer2 = _stage(widths[0], widths[1], stride=2)
        self.layer3 = _stage(widths[1], widths[2], stride=2)
        self.layer4 = _stage(widths[2], widths[3], stride=2)
        self.fc = nn.Linear(widths[3], 2 * ANGLES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        pooled: Tensor = self.fc(x.mean(dim=(2, 3)))
        return pooled


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions about a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.GroupNorm(GROUPS, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.GroupNorm(GROUPS, width)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.GroupNorm(GROUPS, width)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        x = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(x)) + shortcut)


def _stage(channels: int, width: int, stride: int) -> nn.Sequential:
    later = (_BasicBlock(width, width, 1) for _ in range(DEPTH - 1))
    return nn.Sequential(_BasicBlock(channels, width, stride), *later)

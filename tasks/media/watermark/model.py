"""A watermark by trained networks, in TorchScript, instead of troupe's own.

The module has an attribute `bits: int`, the number B of bits that it carries, at least 88, and two exported methods:
`embed(frames, bits) -> frames` for frames (N, 3, H, W) float32 RGB in 0..1 and bits (B,) float32, 0 or 1; and
`decode(frames) -> logits`, (N, B), positive for ones. The bits are the payload and its check value, mixed with the key.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tasks.media.watermark.code import CHECK_BITS, PAYLOAD_BITS, check_bits
from tasks.media.watermark.keys import WatermarkKey
from troupe.errors import SettingsError
from troupe.faces import Picture

if TYPE_CHECKING:
    import torch

__all__ = ["ModelWatermarker", "read_payload"]

_BATCH = 8
_LEAST_BITS = PAYLOAD_BITS + CHECK_BITS


class ModelWatermarker:
    """Adds a payload to frames by the model of a key.

    Args:
        key: a key with a model.
        payload: 8 bytes.

    Raises:
        SettingsError: the model cannot be used.
    """

    def __init__(self, key: WatermarkKey, payload: bytes) -> None:
        self._model = _load(key.model)
        plain = np.concatenate([np.unpackbits(np.frombuffer(payload, np.uint8)), check_bits(payload)])
        self._bits = (np.pad(plain, (0, self._model.bits - len(plain))) ^ _mask(key, self._model.bits)).astype(
            np.float32
        )

    def __call__(self, frame: Picture, _index: int) -> Picture:
        """Return the frame, (height, width, 3) uint8, with the watermark."""
        import torch

        marked = self._model.embed(_tensor([frame]), torch.from_numpy(self._bits).to(_device()))
        if marked.shape != (1, 3, *frame.shape[:2]):
            raise SettingsError(f"the watermark model returned {tuple(marked.shape)} for a frame of {frame.shape}")
        pixels = (marked[0].permute(1, 2, 0).clamp(0, 1) * 255).round().to(torch.uint8)
        return np.ascontiguousarray(pixels.cpu().numpy())


def read_payload(frames: Iterable[tuple[Picture, float]], key: WatermarkKey) -> tuple[bytes, float] | None:
    """Return the payload of the frames' summed logits and their mean size in deviations; None if it is invalid.

    Raises:
        SettingsError: the model cannot be used.
    """
    model = _load(key.model)
    pictures = [frame for frame, _ in frames]
    logits = np.concatenate(
        [model.decode(_tensor(pictures[at : at + _BATCH])).cpu().numpy() for at in range(0, len(pictures), _BATCH)]
    )
    total = logits.sum(0)
    bits = (total > 0).astype(np.uint8) ^ _mask(key, model.bits)
    payload = np.packbits(bits[:PAYLOAD_BITS]).tobytes()
    if not np.array_equal(bits[PAYLOAD_BITS:_LEAST_BITS], check_bits(payload)):
        return None
    return payload, float(np.abs(total).mean() / (logits.std() * len(logits) ** 0.5 or 1.0))


@functools.lru_cache(2)
def _load(path: str) -> Any:
    import torch

    try:
        model = torch.jit.load(path, map_location=_device()).eval()  # type: ignore[no-untyped-call]
        bits = int(model.bits)
    except (RuntimeError, OSError, ValueError, AttributeError) as error:
        raise SettingsError(f"cannot use the watermark model {Path(path).name}: {str(error).splitlines()[0]}") from None
    if bits < _LEAST_BITS or not all(hasattr(model, name) for name in ("embed", "decode")):
        raise SettingsError(
            f"the watermark model {Path(path).name} must export `embed` and `decode` and carry at least {_LEAST_BITS} "
            f"bits; see tasks/media/watermark/model.py"
        )
    return model


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _tensor(frames: list[Picture]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.stack(frames)).to(_device()).permute(0, 3, 1, 2).float() / 255


def _mask(key: WatermarkKey, count: int) -> NDArray[np.uint8]:
    stream = hashlib.shake_256(b"troupe watermark model" + key.secret).digest(-(-count // 8))
    return np.unpackbits(np.frombuffer(stream, np.uint8))[:count]

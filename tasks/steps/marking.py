"""The last steps before frames are written: the visible label and the invisible watermark."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from tasks.media.label import draw_label
from tasks.media.watermark import load_key, make_watermarker
from tasks.steps.specs import PictureSpec
from troupe import Picture
from troupe.errors import SettingsError

__all__ = ["PAYLOAD_DIGITS", "Marking"]

PAYLOAD_DIGITS = 16
"""Hex digits that a picture's key starts with: the watermark's payload."""


class Marking:
    """Draws a picture's label and embeds its watermark, as far as its spec asks for them.

    Args:
        spec: spec of the picture.
        rate: frames per second.

    Raises:
        SettingsError: the watermark key on this machine is not the one that the run was planned with.
    """

    def __init__(self, spec: PictureSpec, rate: Fraction) -> None:
        self._spec, self._rate = spec, rate
        self._watermarkers: dict[tuple[int, int], Callable[[Picture, int], Picture]] = {}
        if spec.watermark:
            self._key = load_key()
            if self._key.id != spec.watermark:
                raise SettingsError(
                    f"the watermark key on this machine is {self._key.id}, the run was planned with {spec.watermark}; "
                    f"set the same key on all machines"
                )

    def __call__(self, frame: Picture, index: int) -> Picture:
        """Return frame number `index` of the video, (H, W, 3) uint8, with its marks."""
        size = frame.shape[1], frame.shape[0]
        if self._spec.label:
            frame = draw_label(self._spec.label, size)(frame)
        if self._spec.watermark:
            if size not in self._watermarkers:
                payload = bytes.fromhex(self._spec.key[:PAYLOAD_DIGITS])
                self._watermarkers[size] = make_watermarker(self._key, payload, size, self._rate)
            frame = self._watermarkers[size](frame, index)
        return frame

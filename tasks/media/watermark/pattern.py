"""The watermark's pattern: one square tile, repeated over the frame, of a key and a payload.

A tile is made in the frequency domain. Each coefficient of a band of middle frequencies, which survive compression and
scaling to half the size, is +-1: a quarter of them, chosen by the key, are pilots whose signs the key alone decides,
and by which a reader finds scale and position; the others carry the coded payload, each bit several times.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.media.watermark.code import CODED_BITS, encode_bits
from troupe.faces import Floats

__all__ = ["BAND", "HOLD_SECONDS", "SIDE", "TILES", "Carriers", "carriers", "tile_of", "tile_side"]

SIDE = 128
"""Side of a tile, pixels, in frames whose shorter side has up to 512; larger frames have `TILES` along that side."""
TILES = 4
HOLD_SECONDS = 1.0
"""Time after which the pattern's sign changes: what stands still in the picture is not mistaken for the pattern."""
BAND = (7.0, 20.0)
"""Lowest and highest frequency, in cycles per tile."""
_PILOTS = 0.25
"""Share of the coefficients that are pilots."""


@dataclass(frozen=True)
class Carriers:
    """The coefficients of a key: N complex ones are 2 N carriers, their real and imaginary parts.

    Attributes:
        rows, columns: (N,) frequencies of the complex coefficients, in cycles per tile; those of the other half plane
            are their conjugates.
        signs: (2 N,) +-1, the real parts first.
        bits: (2 N,) index of the coded bit that a carrier carries; -1 for pilots.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    signs: Floats
    bits: NDArray[np.int64]

    @property
    def pilots(self) -> NDArray[np.bool_]:
        """(2 N,) which carriers are pilots."""
        return self.bits < 0

    def spectrum(self, values: Floats) -> NDArray[np.complex128]:
        """Return the half spectrum, (`SIDE`, `SIDE` / 2 + 1), of the tile with these carriers."""
        half = len(self.rows)
        full = np.zeros((SIDE, SIDE), np.complex128)
        full[self.rows, self.columns] = values[:half] + 1j * values[half:]
        full[-self.rows, -self.columns] = values[:half] - 1j * values[half:]
        return full[:, : SIDE // 2 + 1]


@functools.lru_cache(8)
def carriers(secret: bytes) -> Carriers:
    """Return the carriers of a key."""
    rows, columns = np.mgrid[-SIDE // 2 : SIDE // 2, 0 : SIDE // 2]
    radius = np.hypot(rows, columns)
    half_plane = (columns > 0) | (rows > 0)
    chosen = (radius >= BAND[0]) & (radius <= BAND[1]) & half_plane
    rows, columns = rows[chosen], columns[chosen]
    count = 2 * len(rows)
    stream = hashlib.shake_256(b"troupe watermark 1" + secret).digest(count * 9)
    order = np.argsort(np.frombuffer(stream[: 8 * count], np.uint64), kind="stable")
    signs = np.frombuffer(stream[8 * count :], np.uint8) % 2 * 2.0 - 1.0
    bits = np.full(count, -1, np.int64)
    data = order[round(count * _PILOTS) :]
    bits[data] = np.arange(len(data)) % CODED_BITS
    return Carriers(rows, columns, signs, bits)


def tile_side(width: int, height: int) -> int:
    """Return the side of a tile in frames of this size, pixels."""
    return max(SIDE, round(min(width, height) / TILES))


def tile_of(secret: bytes, payload: bytes, side: int) -> NDArray[np.float32]:
    """Return the tile, (side, side), with a mean square of 1."""
    own = carriers(secret)
    coded = 2.0 * encode_bits(payload) - 1.0
    values = own.signs * np.where(own.pilots, 1.0, coded[own.bits])
    tile = np.fft.irfft2(own.spectrum(values), s=(SIDE, SIDE))
    tile = (tile / tile.std()).astype(np.float32)
    if side == SIDE:
        return np.asarray(tile, np.float32)
    # Interpolated as a part of the repeated pattern, so that neighbouring tiles join.
    pad = 4
    step = SIDE / side
    places = ((np.arange(side, dtype=np.float32) + 0.5) * step - 0.5 + pad).astype(np.float32)
    x, y = np.meshgrid(places, places)
    scaled = cv2.remap(np.pad(tile, pad, mode="wrap"), x, y, cv2.INTER_CUBIC)
    return np.asarray(scaled / scaled.std(), np.float32)

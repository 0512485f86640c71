"""Read the watermark of a video.

The mean of many frames, with the picture's own detail limited, is folded to one tile for every size that the tiles may
have; where the key's pilots correlate best, the carriers are read, weighted by how well the pilots of their frequency
survived, and decoded. The signs of the pattern alternate every second: frames are added with either sign at several
phases of that.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.media.decoder import decode, timing_of
from tasks.media.pictures.stills import read_picture
from tasks.media.watermark.code import CODED_BITS, decode_bits
from tasks.media.watermark.keys import WatermarkKey, load_key
from tasks.media.watermark.model import read_payload
from tasks.media.watermark.pattern import BAND, HOLD_SECONDS, SIDE, TILES, Carriers, carriers
from troupe.faces import Floats, Picture
from troupe.file_suffixes import PORTRAIT_SUFFIXES

__all__ = ["Watermark", "read_frames", "read_watermark"]

Residual: TypeAlias = NDArray[np.float32]
Spectrum: TypeAlias = NDArray[np.complex128]

SECONDS = 10.0
"""Part of a video that is read."""
_FRAMES = 100
"""Number of frames that are read of it."""
_MAX_SIDE = 512
"""Shorter side, pixels, down to which frames are scaled."""
_SIGMA, _LIMIT = 2.5, 1.5
"""What is finer than `_SIGMA` pixels is read, limited to `_LIMIT` levels: the picture's own detail is much larger."""
_PHASES = 4
_MOST_TILES, _FEWEST_TILES = 6.5, 0.8
"""Number of tiles along the shorter side."""
_LEAST_SIDE = 2 * BAND[1]
"""Side of a tile, pixels, below which its highest frequencies are lost."""
_STEP = 0.03
"""Relative step between two sizes, times the number of tiles: neighbouring sizes shift the edges by a quarter wave."""
_LEAST_SCORE = 5.0
"""Lowest correlation of the pilots, in standard deviations, at which decoding is tried."""
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Watermark:
    """A watermark that was read.

    Attributes:
        payload: 16 hex digits: those that the picture's key starts with.
        score: correlation of the pilots in standard deviations: 5 is the least, 20 the watermark as it was embedded.
        key_id: id of the key that read it.
    """

    payload: str
    score: float
    key_id: str


def read_watermark(video: Path, key: WatermarkKey | None = None) -> Watermark | None:
    """Return the watermark of a video or picture; None if there is none of this key, or not enough of it is left.

    The payload has a check value of 24 bits, so that what is returned is right but for one in ten million.

    Args:
        video: local file, in any format that driving clips or portraits may have. A video's first `SECONDS` are read.
        key: the key; by default that of the environment, see `load_key`.

    Raises:
        SettingsError: the key cannot be loaded.
        InputError: the file cannot be read.

    Example:
        >>> found = read_watermark(Path("found-on-the-web.mp4"))
        >>> found and found.payload
        '3f9c0e12ab54d001'
    """
    key = load_key() if key is None else key
    if video.suffix.lower() in PORTRAIT_SUFFIXES:
        return read_frames([(read_picture(video), 0.0)], key)
    times = [float(time) for time in timing_of(video, end=SECONDS).times]
    step = -(-len(times) // _FRAMES)
    frames = decode(video, end=SECONDS)
    chosen = (
        (frame, time) for index, (frame, time) in enumerate(zip(frames, times, strict=False)) if index % step == 0
    )
    return read_frames(chosen, key)


def read_frames(frames: Iterable[tuple[Picture, float]], key: WatermarkKey) -> Watermark | None:
    """Return the watermark of frames with their times in seconds; as `read_watermark`."""
    if key.model:
        read = read_payload(frames, key)
        return None if read is None else Watermark(read[0].hex(), read[1], key.id)
    own = carriers(key.secret)
    residuals = _residuals(frames)
    search = _Search(own)
    tried: list[tuple[float, float, Residual]] = []
    for sizes in (_likely_sizes, _all_sizes):
        for residual in residuals:
            for side in sizes(min(residual.shape)):
                tried.append((search.score(residual, side)[0], side, residual))
        tried.sort(key=lambda one: -one[0])
        for score, side, residual in tried[:_TRIES]:
            if score < _LEAST_SCORE:
                break
            if (found := search.read(residual, side)) is not None:
                return Watermark(found[0].hex(), found[1], key.id)
    return None


def _residuals(frames: Iterable[tuple[Picture, float]]) -> list[Residual]:
    """Return the mean of the frames' fine detail, and that with alternating signs at every phase."""
    sums: list[Residual] = []
    count = 0
    seconds = 0.0
    for frame, time in frames:
        detail = _detail(frame)
        sums = sums or [np.zeros_like(detail) for _ in range(1 + _PHASES)]
        sums[0] += detail
        for phase in range(_PHASES):
            odd = int(time / HOLD_SECONDS + phase / _PHASES) % 2
            sums[1 + phase] += -detail if odd else detail
        count, seconds = count + 1, time
    if not count:
        return []
    return [np.asarray(one / count, np.float32) for one in (sums if seconds > HOLD_SECONDS / _PHASES else sums[:1])]


def _detail(frame: Picture) -> Residual:
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if (scale := _MAX_SIDE / min(luma.shape)) < 1:
        luma = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    luma = luma.astype(np.float32)
    return np.asarray(np.clip(luma - cv2.GaussianBlur(luma, (0, 0), _SIGMA), -_LIMIT, _LIMIT), np.float32)


def _likely_sizes(shorter: int) -> Iterator[float]:
    """Yield the sides of tiles in frames as they were written, at half their size, and of any size if not cut."""
    yield from dict.fromkeys((float(SIDE), SIDE / 2, shorter / TILES, 2 * shorter / TILES, float(shorter)))


def _all_sizes(shorter: int) -> Iterator[float]:
    tiles = min(_MOST_TILES, shorter / _LEAST_SIDE)
    while tiles > _FEWEST_TILES:
        yield shorter / tiles
        tiles -= _STEP * min(tiles, 1.0)


class _Search:
    """Looks for the carriers of a key."""

    def __init__(self, own: Carriers) -> None:
        self._own = own
        self._pilots = np.conj(own.spectrum(np.where(own.pilots, own.signs, 0.0)))
        self._rings = _rings(np.hypot(own.rows, own.columns), 3.0)

    def score(self, residual: Residual, side: float, aspect: float = 1.0) -> tuple[float, tuple[int, int], Spectrum]:
        """Return the pilots' correlation, signed position, and the spectrum of the folded tile."""
        spectrum = _whitened(_folded(residual, side, side * aspect))
        correlation = np.fft.irfft2(spectrum * self._pilots, s=(SIDE, SIDE))
        place = int(np.abs(correlation).argmax())
        peak = float(correlation.flat[place])
        return abs(peak) / float(correlation.std() or 1.0), divmod(place, SIDE), spectrum * np.sign(peak)

    def read(self, residual: Residual, side: float) -> tuple[bytes, float] | None:
        """Return the payload and the score at the best size near this one."""
        step = _STEP * side / min(residual.shape) / 4
        best = max((self.score(residual, side * (1 + step * n))[0], side * (1 + step * n)) for n in range(-4, 5))
        aspects = (self.score(residual, best[1], 1 + step * n)[0] for n in range(-2, 3))
        aspect = 1 + step * (int(np.argmax(list(aspects))) - 2)
        score, (dy, dx), spectrum = self.score(residual, best[1], aspect)
        own = self._own
        turned = spectrum[own.rows, own.columns] * np.exp(2j * np.pi * (own.rows * dy + own.columns * dx) / SIDE)
        values = np.concatenate([turned.real, turned.imag]) * own.signs
        rings = np.concatenate([self._rings, self._rings])
        kept = np.bincount(rings[own.pilots], values[own.pilots]) / np.bincount(rings[own.pilots])
        weighted = values * np.maximum(kept, 0.02)[rings]
        data = ~own.pilots
        soft = np.bincount(own.bits[data], weighted[data], minlength=CODED_BITS).astype(np.float32)
        payload = decode_bits(soft)
        return None if payload is None else (payload, score)


def _folded(residual: Residual, width: float, height: float) -> Floats:
    """Return the sum of all tiles of this size, scaled to `SIDE`."""
    x, y = width / SIDE, height / SIDE
    rows, columns = max(1, round(residual.shape[0] / y)), max(1, round(residual.shape[1] / x))
    if x > 1.3:
        residual = np.asarray(cv2.GaussianBlur(residual, (0, 0), 0.4 * x), np.float32)
    matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    scaled = cv2.warpAffine(residual, matrix, (columns, rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    down, across = -(-rows // SIDE), -(-columns // SIDE)
    padded = np.zeros((down * SIDE, across * SIDE), np.float32)
    padded[:rows, :columns] = scaled
    return np.asarray(padded.reshape(down, SIDE, across, SIDE).sum((0, 2)), np.float64)


def _rings(radius: Floats, width: float) -> NDArray[np.int64]:
    return ((radius - BAND[0]) / width).astype(np.int64)


@functools.cache
def _band() -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which coefficients of a tile are in the band, and the ring of each of these."""
    radius = np.hypot(np.fft.fftfreq(SIDE, 1 / SIDE)[:, None], np.arange(SIDE // 2 + 1)[None])
    inside = (radius >= BAND[0]) & (radius <= BAND[1])
    return inside, _rings(radius[inside], 2.0)


def _whitened(tile: Floats) -> Spectrum:
    """Return the tile's spectrum in the band, with the same mean power at all frequencies, and nothing outside it."""
    inside, rings = _band()
    spectrum = np.fft.rfft2(tile)
    power = np.bincount(rings, np.abs(spectrum[inside]) ** 2) / np.bincount(rings)
    whitened = np.zeros_like(spectrum)
    whitened[inside] = spectrum[inside] / np.sqrt(power[rings] + 1e-12)
    return whitened

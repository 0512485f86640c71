"""Log-mel spectrogram of speech, computed block by block, and the level that it is normalised by.

The mel scale is Slaney's (Auditory Toolbox, Interval Research technical report 1998-010): linear below 1 kHz and
logarithmic above, with triangles of equal area. Bands, window and hop are those of Whisper (arXiv 2212.04356, section
2.2): 80 bands up to 8 kHz, Hann windows of 25 ms every 10 ms at 16 kHz.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor

from troupe.faces import Floats

__all__ = ["BANDS", "MEL_RATE", "SAMPLE_RATE", "LogMel", "SpeechLevel", "normalise"]

SAMPLE_RATE = 16_000
BANDS = 80
MEL_RATE = 100
"""Spectra per second."""
_HOP = SAMPLE_RATE // MEL_RATE
_WINDOW = SAMPLE_RATE // 40
SILENCE = -12.0
"""log10 of the power in a band that is silent."""
RANGE = 6.0
"""Range below the speech's level that counts, as a power of ten: 60 dB. What is quieter is silence."""
QUIETEST = -5.5
"""Lowest level of speech, log10 of the power; a sound without any louder part is silent."""
SPEECH_SHARE = 0.95
"""Quantile of the spectra's powers that is the level of the speech."""


class LogMel:
    """A stream of samples as spectra, log10 of the power in every band.

    Spectrum i is centred on sample i * 160; before and after the sound is silence. The same samples give the same
    spectra, however they are split into blocks.
    """

    def __init__(self) -> None:
        self._rest = np.zeros(_WINDOW // 2, np.float32)

    def update(self, samples: Floats) -> Tensor:
        """Return the spectra (N, 80) that are complete with these samples (S,), mono at 16 kHz, -1..1."""
        held = np.concatenate([self._rest, samples.astype(np.float32, copy=False)])
        count = max((len(held) - _WINDOW) // _HOP + 1, 0)
        self._rest = held[count * _HOP :]
        return _spectra(torch.from_numpy(held), count)

    def finish(self) -> Tensor:
        """Return the remaining spectra, up to the end of the sound."""
        return self.update(np.zeros(_WINDOW // 2, np.float32))


class SpeechLevel:
    """The level of the speech in a stream of spectra: a high quantile of their powers, in bounded memory."""

    def __init__(self) -> None:
        self._counts = np.zeros(round(-100 * SILENCE) + 200, np.int64)  # of a hundredth of a power of ten each

    def update(self, spectra: Tensor) -> None:
        """Add spectra (N, 80)."""
        places = ((_power(spectra) - SILENCE) * 100).long().clamp(0, len(self._counts) - 1)
        self._counts += np.bincount(places.numpy(), minlength=len(self._counts))

    @property
    def value(self) -> float:
        """log10 of the power."""
        total = int(self._counts.sum())
        if total == 0:
            return QUIETEST
        place = int(np.searchsorted(np.cumsum(self._counts), SPEECH_SHARE * total))
        return max(place / 100 + SILENCE, QUIETEST)


def normalise(spectra: Tensor, level: float) -> Tensor:
    """Return spectra (N, 80) relative to the level of the speech: 0 is silence, 1 the level in a single band."""
    return ((spectra - level) / RANGE + 1).clamp(0, 1.5)


def spectra_of(blocks: Iterable[Floats]) -> Iterator[Tensor]:
    """Yield the spectra of a whole sound, block by block."""
    mel = LogMel()
    for block in blocks:
        yield mel.update(block)
    yield mel.finish()


def _power(spectra: Tensor) -> Tensor:
    """Return log10 of the power in all bands together."""
    return (10**spectra).sum(dim=-1).log10()


def _spectra(samples: Tensor, count: int) -> Tensor:
    if count == 0:
        return torch.zeros(0, BANDS)
    frames = samples.unfold(0, _WINDOW, _HOP)[:count]
    power = torch.fft.rfft(frames * _hann(), dim=-1).abs().square()
    spectra: Tensor = (power @ _filters()).clamp_min(10**SILENCE).log10()
    return spectra


@cache
def _hann() -> Tensor:
    window = torch.hann_window(_WINDOW, periodic=True)
    # A band's value is then the mean square of the samples in it.
    scaled: Tensor = window / (window.square().sum() * _WINDOW / 2).sqrt()
    return scaled


@cache
def _filters() -> Tensor:
    """Return the weights (201, 80) of the frequencies in every band."""
    edges = _hertz(np.linspace(_mel(np.array(0.0)), _mel(np.array(SAMPLE_RATE / 2)), BANDS + 2))
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    rising = (frequencies[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies[:, None]) / np.diff(edges)[1:]
    area = (edges[2:] - edges[:-2]) * _WINDOW / SAMPLE_RATE / 2
    return torch.from_numpy((np.maximum(0, np.minimum(rising, falling)) / np.maximum(area, 1e-9)).astype(np.float32))


def _mel(hertz: Floats) -> Floats:
    linear = hertz * 3 / 200
    return np.where(hertz < 1000, linear, 15 + 27 * np.log(np.maximum(hertz, 1e-9) / 1000) / np.log(6.4))


def _hertz(mel: Floats) -> Floats:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))

"""Lips by sound: the motion of a driving clip with a mouth that follows a sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from models.motion.intensity import LEVELS
from models.motion.motion import Motion
from models.voice.log_mel import MEL_RATE, SpeechLevel, normalise, spectra_of
from models.voice.network import VoiceNetwork
from troupe.faces import Floats

__all__ = ["exchange_lips", "interpolated", "lip_coordinates"]


def exchange_lips(
    voice: VoiceNetwork,
    shots: Sequence[Motion],
    times: ArrayLike,
    sound: Callable[[], Iterable[Floats]],
    *,
    window: int,
) -> tuple[Motion, ...]:
    """Return the motion of a clip with lips that follow a sound.

    Rotations are the clip's. The intensity of an expression changes with the spread of the features.

    Args:
        voice: on the CPU.
        shots: motion of the clip, one per shot, fitted to the length of the sound.
        times: (F,) seconds of all frames, in the sound's time.
        sound: returns the sound from its start, blocks of samples (S,), mono at 16 kHz, -1..1; called twice. Where it
            has ended, the mouth is closed.
        window: number of frames per chunk of intensity, as the motion was encoded with.

    Raises:
        ValueError: the times do not fit the shots, or the features are of another encoder.
    """
    seconds = np.asarray(times, dtype=np.float64)
    frames = sum(map(len, shots))
    if seconds.shape != (frames,):
        raise ValueError(f"times of shape {seconds.shape} do not fit shots of {frames} frames")
    for shot in shots:
        if shot.expression.shape[1] != voice.config.expression:
            raise ValueError(f"features of {shot.expression.shape[1]} numbers, not {voice.config.expression}")
    coordinates = lip_coordinates(voice, seconds, sound)
    parts = torch.split(coordinates, [len(shot) for shot in shots])
    with torch.inference_mode():
        expressions = [voice.exchange(shot.expression, part) for shot, part in zip(shots, parts, strict=True)]
    rows = zip(shots, expressions, _intensities(shots, expressions, window), strict=True)
    return tuple(
        replace(shot, expression=expression.clone(), intensity=intensity) for shot, expression, intensity in rows
    )


def lip_coordinates(voice: VoiceNetwork, times: NDArray[np.float64], sound: Callable[[], Iterable[Floats]]) -> Tensor:
    """Return the coordinates (F, rank) of a sound at these times, in ascending order, in seconds."""
    level = SpeechLevel()
    for spectra in spectra_of(sound()):
        level.update(spectra)
    places = times * MEL_RATE
    found = torch.zeros(len(times), voice.config.rank)
    first, done, last = 0, 0, torch.zeros(0, voice.config.rank)
    normalised = (normalise(spectra, level.value) for spectra in spectra_of(sound()))
    # Long enough a silence at the end for the frames after the sound: they are all alike.
    for part in voice.stream(_with_silence(normalised, voice.config.reach + 2)):
        held = torch.cat([last, part])
        start = first - len(last)
        until = int(np.searchsorted(places, start + len(held) - 1, side="right"))
        found[done:until] = interpolated(held, torch.from_numpy(places[done:until] - start))
        first, done, last = first + len(part), max(done, until), held[-1:]
    found[done:] = last
    return found


def _with_silence(spectra: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    for part in spectra:
        yield part
    yield torch.zeros(count, part.shape[1])


def interpolated(values: Tensor, places: Tensor) -> Tensor:
    """Interpolate (..., N, rank) linearly at places (..., M)."""
    places = places.clamp(0, values.shape[-2] - 1)
    left = places.floor().long()
    right = (left + 1).clamp_max(values.shape[-2] - 1)
    share = (places - left).to(values.dtype)[..., None]
    before, after = (values.take_along_dim(index[..., None], dim=-2) for index in (left, right))
    return before * (1 - share) + after * share


def _intensities(shots: Sequence[Motion], expressions: Sequence[Tensor], window: int) -> list[Tensor]:
    """Return the intensities of shots with these features.

    How much the keypoints move with the lips is not known; that of an expression is taken to change with the spread of
    the features in a chunk, as much as the two go together in the whole clip.
    """
    before = [_spreads(shot.expression, window) for shot in shots]
    spread = float(torch.cat(before).sum())
    slope = float(torch.cat([shot.intensity[:, 1] for shot in shots]).sum()) / spread if spread > 0 else 0.0
    changed = []
    for shot, expression, old in zip(shots, expressions, before, strict=True):
        intensity = shot.intensity.clone()
        more = slope * (_spreads(expression, window) - old)
        intensity[:, 1] = (intensity[:, 1] + more.round().long()).clamp(0, LEVELS - 1)
        changed.append(intensity)
    return changed


def _spreads(features: Tensor, window: int) -> Tensor:
    """Return the mean distance from the mean feature, in every chunk."""
    return torch.stack([(chunk - chunk.mean(dim=0)).norm(dim=1).mean() for chunk in torch.split(features, window)])

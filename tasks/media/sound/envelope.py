"""The loudness of speech over time, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import ffmpeg  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from tasks.media.audio import AudioStream
from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.mux import audio_graph
from troupe.errors import FfmpegError

__all__ = ["mono_samples", "speech_envelope"]

_SAMPLE_RATE = 16_000
_BAND = (200, 3600)
"""Hertz that speech is heard by; below is rumble, and above are hiss and sibilants, which need no open mouth."""
_BLOCK = 80
"""Samples, 5 ms, over which power is averaged first."""
_READ_BLOCKS = 2000


def speech_envelope(audio: AudioStream, frames: int, rate: Fraction) -> NDArray[np.float64]:
    """Return the amplitude of the speech at each frame of a picture.

    Args:
        audio: the sound; it starts with the picture.
        frames: number of frames.
        rate: frames per second.

    Returns:
        (frames,) root mean square of the band of speech, 0..1, over the two frame intervals about each frame's time.

    Raises:
        FfmpegError: ffmpeg failed.
    """
    powers = _block_powers(audio, float(frames / rate))
    if not len(powers):
        return np.zeros(frames)
    step = _SAMPLE_RATE / _BLOCK / float(rate)  # blocks per frame
    reach = max(round(step), 1)
    window = np.hanning(2 * reach + 1)
    smooth = np.convolve(powers, window / window.sum(), mode="full")[reach : reach + len(powers)]
    at = np.minimum((np.arange(frames) * step).round().astype(int), len(powers) - 1)
    return np.asarray(np.sqrt(np.maximum(smooth[at], 0)), np.float64)


def mono_samples(audio: AudioStream, seconds: float) -> NDArray[np.float32]:
    """Return the samples of a sound, (S,), -1..1, mono at 16 kHz, as many as fit into some seconds.

    Raises:
        FfmpegError: ffmpeg failed.
    """
    graph = audio_graph(audio, seconds).filter("aformat", channel_layouts="mono").filter("aresample", _SAMPLE_RATE)
    blocks = list(_read(audio, graph, int(seconds * _SAMPLE_RATE) // _BLOCK))
    return np.concatenate(blocks).reshape(-1) if blocks else np.zeros(0, np.float32)


def _block_powers(audio: AudioStream, seconds: float) -> NDArray[np.float64]:
    """Return the mean power of each block of samples."""
    graph = audio_graph(audio, seconds).filter("aformat", channel_layouts="mono").filter("aresample", _SAMPLE_RATE)
    graph = graph.filter("highpass", frequency=_BAND[0]).filter("lowpass", frequency=_BAND[1])
    powers = [
        np.square(samples, dtype=np.float64).mean(axis=1)
        for samples in _read(audio, graph, int(seconds * _SAMPLE_RATE) // _BLOCK)
    ]
    return np.concatenate(powers) if powers else np.zeros(0)


def _read(audio: AudioStream, graph: Any, blocks: int) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of a graph, (N, block) each."""
    with FfmpegProcess(ffmpeg.output(graph, "pipe:1", format="f32le", acodec="pcm_f32le")) as process:
        while blocks > 0:
            samples = np.empty((min(blocks, _READ_BLOCKS), _BLOCK), np.float32)
            if not process.read_into(samples.reshape(-1).data.cast("B")):
                break
            yield samples
            blocks -= len(samples)
        if (code := process.finish()) != 0:
            raise FfmpegError(f"measuring the speech of {audio.path.name} failed ({code}): {process.errors}")

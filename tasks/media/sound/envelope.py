"""The loudness of speech over time, frame by frame."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

from tasks.media.audio import AudioStream
from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.mux import audio_graph
from tasks.media.sound.loudness import Loudness, loudness_graph, read_loudness
from troupe.errors import FfmpegError

__all__ = ["measure_film", "mono_blocks", "mono_samples", "speech_envelope"]

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
    seconds = float(frames / rate)
    with FfmpegProcess(_samples_output(_speech_graph(audio, seconds))) as process:
        powers = _powers(process, seconds)
        _expect_success(process, audio)
    return _envelope(powers, frames, rate)


def measure_film(audio: AudioStream, frames: int, rate: Fraction) -> tuple[Loudness, NDArray[np.float64]]:
    """Return what `measure_loudness` and `speech_envelope` do of the sound of a written film, decoded once.

    Raises:
        FfmpegError: ffmpeg failed.
    """
    seconds = float(frames / rate)
    with tempfile.TemporaryDirectory(prefix="troupe-sound-") as folder:
        printed = Path(folder, "loudness")
        measures = ffmpeg.output(loudness_graph(audio, file=str(printed)), "-", format="null")
        with FfmpegProcess(ffmpeg.merge_outputs(measures, _samples_output(_speech_graph(audio, seconds)))) as process:
            powers = _powers(process, seconds)
            _expect_success(process, audio)
        with printed.open() as lines:
            loudness = read_loudness(lines)
    return loudness, _envelope(powers, frames, rate)


def _envelope(powers: NDArray[np.float64], frames: int, rate: Fraction) -> NDArray[np.float64]:
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
    blocks = list(mono_blocks(audio, seconds))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def mono_blocks(audio: AudioStream, seconds: float) -> Iterator[NDArray[np.float32]]:
    """Yield the samples of `mono_samples`, some seconds at a time.

    Raises:
        FfmpegError: ffmpeg failed.
    """
    with FfmpegProcess(_samples_output(_mono_graph(audio, seconds))) as process:
        for samples in _read(process, seconds):
            yield samples.reshape(-1)
        _expect_success(process, audio)


def _mono_graph(audio: AudioStream, seconds: float) -> Any:
    return audio_graph(audio, seconds).filter("aformat", channel_layouts="mono").filter("aresample", _SAMPLE_RATE)


def _speech_graph(audio: AudioStream, seconds: float) -> Any:
    graph = _mono_graph(audio, seconds)
    return graph.filter("highpass", frequency=_BAND[0]).filter("lowpass", frequency=_BAND[1])


def _samples_output(graph: Any) -> Any:
    return ffmpeg.output(graph, "pipe:1", format="f32le", acodec="pcm_f32le")


def _powers(process: FfmpegProcess, seconds: float) -> NDArray[np.float64]:
    """Return the mean power of each block of samples."""
    powers = [np.square(samples, dtype=np.float64).mean(axis=1) for samples in _read(process, seconds)]
    return np.concatenate(powers) if powers else np.zeros(0)


def _read(process: FfmpegProcess, seconds: float) -> Iterator[NDArray[np.float32]]:
    """Yield the samples that a process writes, (N, block) each, as many whole blocks as fit into some seconds."""
    blocks = int(seconds * _SAMPLE_RATE) // _BLOCK
    while blocks > 0:
        samples = np.empty((min(blocks, _READ_BLOCKS), _BLOCK), np.float32)
        if not process.read_into(samples.reshape(-1).data.cast("B")):
            break
        yield samples
        blocks -= len(samples)


def _expect_success(process: FfmpegProcess, audio: AudioStream) -> None:
    if (code := process.finish()) != 0:
        raise FfmpegError(f"measuring the speech of {audio.path.name} failed ({code}): {process.errors}")

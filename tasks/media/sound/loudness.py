"""Measure loudness and true peak by ITU-R BS.1770, and loudness range by EBU Tech 3342."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]

from tasks.media.audio import AudioStream
from tasks.media.ffmpeg_process import FfmpegProcess
from tasks.media.input_formats import AUDIO_FORMATS, open_container
from tasks.media.mux import audio_graph
from troupe.errors import FfmpegError

__all__ = [
    "MIN_SECONDS",
    "SAMPLE_RATE",
    "Loudness",
    "loudness_graph",
    "measure_file",
    "measure_loudness",
    "read_loudness",
    "written_sound",
]

SAMPLE_RATE = 48_000
"""Samples per second for which BS.1770 defines its weighting."""
MIN_SECONDS = 0.4
"""Length of a gating block: sound that is shorter has no integrated loudness."""
_SILENCE_LUFS = -70.0
"""The absolute gate, which the filter reports if no block is louder."""
_STEP = 0.1
"""Seconds between blocks in ffmpeg's ebur128, which reports after each."""
_OVERSAMPLED = 192_000
"""Samples per second at which peaks are true peaks, as in ffmpeg's ebur128."""
_MIN_BLOCKS = 5
"""Number of blocks of 3 s that the 10th percentile of the loudness range needs in ffmpeg's ebur128."""
_ROUNDING = 0.02
"""LU by which ffmpeg rounds a block's loudness."""


@dataclass(frozen=True)
class Loudness:
    """Loudness of a sound; a value that does not exist is None, never infinite.

    Attributes:
        integrated: LUFS; None for silence, below -70 LUFS, and for less than 0.4 s of sound.
        range: LU; None for less than 3.4 s of sound.
        true_peak: dBTP, of all channels; None for digital silence.
        notes: reasons why there is no integrated loudness, for the user.
    """

    integrated: float | None
    range: float | None
    true_peak: float | None
    notes: tuple[str, ...] = ()


def measure_loudness(audio: AudioStream, seconds: float | None = None) -> Loudness:
    """Measure a part of an audio stream.

    A mono sound is measured as one channel, as BS.1770 does: 3 LU below the same sound on two.

    Args:
        audio: the part.
        seconds: length to which it is cut or padded with silence, as in the video; None measures the part as it is.

    Raises:
        FfmpegError: ffmpeg failed.
    """
    with FfmpegProcess(ffmpeg.output(loudness_graph(audio, seconds), "-", format="null")) as process:
        loudness = read_loudness(process.lines())
        if process.finish() != 0:
            raise FfmpegError(f"ffmpeg failed at measuring the loudness: {process.errors or 'no error message'}")
    return loudness


def loudness_graph(audio: AudioStream, seconds: float | None = None, file: str = "-") -> Any:
    """Build the graph that prints the measures of a part of an audio stream.

    Args:
        file: file that it prints to; `-` is standard output.
    """
    # The true peak is measured by astats: ebur128 leaves the last fraction of 100 ms out and rounds to 0.001 of full
    # scale, which is several dB in a quiet sound. Both oversample to 192 kHz with the same resampler.
    # In floating point throughout, because 16 bits clip; at 48 kHz, because at others the weighting differs.
    graph = audio_graph(audio, seconds).filter("aformat", sample_fmts="dbl").filter("aresample", SAMPLE_RATE)
    graph = graph.filter("ebur128", metadata=1, framelog="quiet")
    graph = graph.filter("aresample", _OVERSAMPLED).filter("aformat", sample_fmts="dbl")
    graph = graph.filter("astats", metadata=1, measure_perchannel="none", measure_overall="Peak_level")
    return graph.filter("ametadata", "print", file=file)


def read_loudness(lines: Iterable[str]) -> Loudness:
    """Return the loudness that the lines of a `loudness_graph` say."""
    values: dict[str, float] = {}
    short_term = []
    for line in lines:
        key, _, value = line.strip().removeprefix("lavfi.").partition("=")
        if value:
            values[key] = float(value)
            if key == "r128.S":
                short_term.append(values[key])
    peak = values.get("astats.Overall.Peak_level", -math.inf)
    integrated = values.get("r128.I", _SILENCE_LUFS)
    low, high = values.get("r128.LRA.low", 0.0), values.get("r128.LRA.high", 0.0)
    # With fewer blocks above its gate, ffmpeg returns the gate as the 10th percentile, 20 LU too low.
    has_range = sum(loudness >= low - _ROUNDING for loudness in short_term) >= _MIN_BLOCKS
    silent = integrated <= _SILENCE_LUFS or not math.isfinite(peak)
    return Loudness(
        integrated=None if silent else round(integrated, 2),
        range=round(high - low, 2) if has_range and not silent else None,
        true_peak=round(peak, 2) if math.isfinite(peak) else None,
        notes=(_reason(len(short_term), peak),) if silent else (),
    )


def measure_file(path: Path) -> Loudness | None:
    """Measure the first audio stream of a written file; None if it has none.

    Raises:
        MissingInput, UnreadableMedia: the file cannot be read.
        FfmpegError: ffmpeg failed.
    """
    audio = written_sound(path)
    return None if audio is None else measure_loudness(audio)


def written_sound(path: Path) -> AudioStream | None:
    """Return the first audio stream of a written file; None if it has none.

    Raises:
        MissingInput, UnreadableMedia: the file cannot be read.
    """
    with open_container(path, AUDIO_FORMATS) as container:
        stream = next(iter(container.streams.audio), None)
        if stream is None:
            return None
        return AudioStream(path, stream.index, start=0.0, end=None, codec=stream.codec_context.name)


def _reason(blocks: int, peak: float) -> str:
    """Return why a sound has no integrated loudness."""
    if not math.isfinite(peak):
        return "sound: silent, so it has no loudness"
    if blocks < round(MIN_SECONDS / _STEP):
        return f"sound: shorter than {MIN_SECONDS} s, so its loudness cannot be measured"
    return f"sound: quieter than {_SILENCE_LUFS:g} LUFS, so its loudness cannot be measured"

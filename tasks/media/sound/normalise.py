"""Normalise sound to an integrated loudness with a limited true peak."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ffmpeg  # type: ignore[import-untyped]

from tasks.media.audio import AudioStream
from tasks.media.ffmpeg_process import STALL_SECONDS, FfmpegProcess
from tasks.media.input_formats import AUDIO_FORMATS, open_container
from tasks.media.mux import audio_graph
from tasks.media.output_formats import VideoFormat
from tasks.media.sound.loudness import SAMPLE_RATE, Loudness, measure_file, measure_loudness
from troupe.errors import FfmpegError, SettingsError
from troupe.job import LOUDNESS

__all__ = ["TARGETS", "NormalisedSound", "check_target", "default_ceiling", "lower_ceiling", "normalise"]

TARGETS = LOUDNESS
"""Lowest and highest target, LUFS."""
CEILINGS = (-20.0, 0.0)
"""Lowest and highest ceiling, dBTP."""
_OVERSAMPLED = 192_000
"""Samples per second at which peaks are limited, so that true peaks are."""
_TOLERANCE = 0.1
"""LU from the target that ends the search."""
_REPORTED = 0.2
"""LU from the target above which a note says so."""
_MARGIN = 0.1
"""dB by which the limiter is set lower than what an attempt exceeded."""
_LOWEST_LIMIT = -24.0
"""dB, the lowest that ffmpeg's limiter takes."""
_MAX_LIMITING = 20.0
"""dB by which peaks are lowered at most: more distorts the sound."""
_MIN_SLOPE = 0.2
"""LU per dB of gain that a limited sound is taken to win at least, so that steps stay bounded."""
_ATTEMPTS = 8


@dataclass(frozen=True)
class NormalisedSound:
    """A sound at its target loudness.

    Attributes:
        audio: the sound to mux: a local lossless file, or the original where its loudness cannot be measured.
        target: LUFS.
        ceiling: dBTP.
        gain: dB by which it was amplified before limiting; None where it was left as it is.
        before: loudness of the original.
        encoded: loudness as encoded in the video format, which is what the video will have.
        notes: what fell short, for the user.
    """

    audio: AudioStream
    target: float
    ceiling: float
    gain: float | None
    before: Loudness
    encoded: Loudness
    notes: tuple[str, ...] = ()


def default_ceiling(target: float) -> float:
    """Return the limit of the true peak, dBTP, for a target: -2 for -27 LUFS, as streaming services ask, else -1."""
    return -2.0 if target == -27.0 else -1.0


def normalise(
    audio: AudioStream,
    seconds: float,
    path: Path,
    video_format: VideoFormat,
    *,
    target: float,
    ceiling: float | None = None,
) -> NormalisedSound:
    """Write a part of an audio stream, at a target loudness, to a lossless file for the video.

    The first pass measures, the others amplify and, where peaks would exceed the ceiling, limit at four times the
    sample rate. Encoding to AAC raises peaks again, so each attempt is encoded as in the video, and what comes out is
    measured; gain and limiter are corrected until it is within 0.1 LU of the target and not above the ceiling.

    Args:
        audio: the part, as returned by `tasks.media.mux.fit_audio`.
        seconds: length to which it is cut or padded.
        path: FLAC file to write, 24 bits, 48 kHz.
        video_format: format of the video; of several, the one with the lossy sound.
        target: integrated loudness, LUFS.
        ceiling: highest true peak, dBTP; None for `default_ceiling`.

    Raises:
        SettingsError: the target or the ceiling is out of range.
        FfmpegError: ffmpeg failed.
    """
    ceiling = default_ceiling(target) if ceiling is None else ceiling
    check_target(target, ceiling)
    before = measure_loudness(audio, seconds)
    if before.integrated is None or before.true_peak is None:
        notes = tuple(f"{note}; it is left as it is" for note in before.notes)
        return NormalisedSound(audio, target, ceiling, None, before, before, notes)
    wanted, limit = target - before.integrated, ceiling
    last = (0.0, before.integrated)
    for _ in range(_ATTEMPTS):
        most = limit + _MAX_LIMITING - before.true_peak
        gain = min(wanted, most)
        peak = before.true_peak + gain
        sound = _write(audio, seconds, path, gain, limit if peak > limit else None)
        encoded = _measure_encoded(sound, seconds, video_format)
        if encoded.integrated is None or encoded.true_peak is None:
            break
        missing, excess = target - encoded.integrated, encoded.true_peak - ceiling
        if excess <= 0 and (abs(missing) <= _TOLERANCE or (missing > 0 and gain == most)):
            break
        if excess > 0:
            limit = max(min(limit, peak) - excess - _MARGIN, _LOWEST_LIMIT)
        slope = (encoded.integrated - last[1]) / (gain - last[0]) if gain != last[0] else 1.0
        wanted = gain + missing / min(max(slope, _MIN_SLOPE), 1.0)
        last = (gain, encoded.integrated)
    return NormalisedSound(sound, target, ceiling, gain, before, encoded, _shortfall(encoded, target, ceiling))


def lower_ceiling(sound: NormalisedSound, written: Loudness) -> float | None:
    """Return the ceiling to normalise with again, if a written file exceeds the target's limit; None if it does not.

    Args:
        sound: what the file was written with.
        written: loudness of the file, by `measure_file`.
    """
    if written.true_peak is None or written.true_peak <= default_ceiling(sound.target):
        return None
    excess = written.true_peak - default_ceiling(sound.target)
    return max(sound.ceiling - excess - _MARGIN, CEILINGS[0])


def check_target(target: float, ceiling: float) -> None:
    """Check a target loudness and a ceiling.

    Raises:
        SettingsError: one of them is out of range.
    """
    for name, value, (low, high), unit in (
        ("loudness", target, TARGETS, "LUFS"),
        ("true peak", ceiling, CEILINGS, "dBTP"),
    ):
        if not low <= value <= high:
            raise SettingsError(f"{name} is {value:g}; use {low:g} to {high:g} {unit}")


def _write(audio: AudioStream, seconds: float, path: Path, gain: float, limit: float | None) -> AudioStream:
    """Write an amplified and limited part of an audio stream to a FLAC file."""
    # In floating point throughout: between amplifying and limiting, samples exceed full scale.
    stream = audio_graph(audio, seconds).filter("aformat", sample_fmts="dbl").filter("aresample", SAMPLE_RATE)
    stream = stream.filter("volume", f"{gain:.3f}dB", precision="double")
    if limit is not None:
        stream = stream.filter("aresample", _OVERSAMPLED)
        stream = stream.filter("alimiter", limit=f"{10 ** (limit / 20):.6f}", level=0, latency=1)
        stream = stream.filter("aresample", SAMPLE_RATE)
    samples = round(seconds * SAMPLE_RATE)
    stream = stream.filter("apad", whole_len=samples).filter("atrim", end_sample=samples)
    _run(ffmpeg.output(stream, _url(path), format="flac", acodec="flac", sample_fmt="s32", fflags="+bitexact"), seconds)
    with open_container(path, AUDIO_FORMATS) as container:
        layout = container.streams.audio[0].codec_context.layout
        return AudioStream(
            path, 0, start=0.0, end=None, codec="flac", layout=layout.name, channels=layout.nb_channels, copyable=False
        )


def _measure_encoded(sound: AudioStream, seconds: float, video_format: VideoFormat) -> Loudness:
    """Encode a sound as `tasks.media.mux.mux_graph` does, and measure what that gives."""
    with tempfile.TemporaryDirectory(prefix="troupe-sound-") as folder:
        path = Path(folder, f"sound{video_format.suffix}")
        options = {**video_format.audio_options, "flags:a": "+bitexact"}
        _run(ffmpeg.output(audio_graph(sound, seconds), _url(path), format=video_format.container, **options), seconds)
        loudness = measure_file(path)
    if loudness is None:
        raise FfmpegError("ffmpeg encoded a sound to a file without sound")
    return loudness


def _shortfall(encoded: Loudness, target: float, ceiling: float) -> tuple[str, ...]:
    """Return notes on what was not reached."""
    notes = []
    if encoded.integrated is not None and abs(encoded.integrated - target) > _REPORTED:
        notes.append(
            f"sound: {encoded.integrated:.1f} LUFS instead of {target:g}: its peaks may reach {ceiling:g} dBTP and are "
            f"lowered by at most {_MAX_LIMITING:g} dB"
        )
    if encoded.true_peak is not None and encoded.true_peak > ceiling:
        notes.append(f"sound: its true peak is {encoded.true_peak:.1f} dBTP, above {ceiling:g}")
    return tuple(notes)


def _url(path: Path) -> str:
    return f"file:{path.absolute()}"


def _run(graph: Any, seconds: float) -> None:
    with FfmpegProcess(ffmpeg.overwrite_output(graph)) as process:
        if process.finish(STALL_SECONDS + seconds) != 0:
            raise FfmpegError(f"ffmpeg failed at normalising the sound: {process.errors or 'no error message'}")

"""The sync check of a film: the opening of its picture's mouth against its sound."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogs.store.renders import Record
from tasks import media
from tasks.media.fit import Fit
from tasks.media.fit.join import packet_index
from tasks.media.sound import Loudness, measure_loudness
from tasks.media.sound.envelope import measure_film, mono_samples
from tasks.media.sound.loudness import written_sound
from tasks.quality.sync import MAX_OFFSET, MIN_FRAMES, measure_sync
from tasks.quality.syncnet import FRAME_RATE, crop_faces
from tasks.steps.context import WorkerContext
from troupe import LARGEST, Floats, Picture

__all__ = ["MOUTH", "measure_sound_and_sync", "opening_at", "syncnet_facts"]

MOUTH = "mouth"
"""Name, in a picture's record, of the opening of the mouth in each of its frames; see `QualityMeter.mouth`."""
Series = NDArray[np.float64]


def measure_sound_and_sync(picture: Record, fit: Fit, film: Path) -> tuple[Loudness | None, dict[str, Any], list[str]]:
    """Measure the loudness of a film's sound, and compare it with the mouth of its picture.

    Args:
        picture: record of the picture, whose mouth was measured when it was rendered.
        fit: how the picture was extended.
        film: the written film.

    Returns:
        loudness; values of the film's record, as the catalog's columns name them; notes on why there are none.

    Raises:
        FfmpegError: ffmpeg failed.
    """
    audio = written_sound(film)
    if audio is None:
        return None, {}, ["sync: not measured, the film has no sound"]
    rate = Fraction(*picture["fps"])
    mouth, reason = _mouth(picture, fit, film, rate)
    if reason:
        return measure_loudness(audio), {}, [f"sync: not measured, {reason}"]
    loudness, envelope = measure_film(audio, len(mouth), rate)
    if not envelope.any():
        return loudness, {}, ["sync: not measured, the sound is silent"]
    sync = measure_sync(mouth, envelope)
    if sync is None:
        reason = "the mouth was seen in too few frames, or it or the sound is constant"
        return loudness, {}, [f"sync: not measured, {reason}"]
    return loudness, {"sync_offset_frames": sync.offset_frames, "sync_confidence": round(sync.confidence, 4)}, []


def _mouth(picture: Record, fit: Fit, film: Path, rate: Fraction) -> tuple[Series, str]:
    """Return the opening of the mouth over a film, or why it cannot be compared with a sound."""
    unknown, opening = np.zeros(0), picture.get(MOUTH)
    if opening is None:
        return unknown, "the picture was rendered before troupe measured mouths"
    if not opening:
        return unknown, "no mouth was found in the picture"
    mouth = opening_at(np.array(opening, np.float64), fit, film, rate)
    if len(mouth) < MIN_FRAMES + MAX_OFFSET:
        return unknown, f"the video has fewer than {MIN_FRAMES + MAX_OFFSET} frames"
    return mouth, ""


def syncnet_facts(context: WorkerContext, film: Path) -> tuple[dict[str, Any], list[str]]:
    """Measure a film with the run's SyncNet, if it has one.

    Returns:
        values of the film's record, and notes on why there are none.

    Raises:
        WeightsError: the network fails.
        FfmpegError: ffmpeg failed.
    """
    if (network := context.syncnet) is None or (audio := written_sound(film)) is None:
        return {}, []

    def find(frame: Picture) -> Floats | None:
        context.raise_if_cancelled()
        faces = context.detector.detect(frame)
        return LARGEST.pick(faces, "the film").box if faces else None

    samples = mono_samples(audio, media.probe(film).seconds)
    with closing(media.decode(film, fps=Fraction(FRAME_RATE))) as frames:
        found = network.measure(crop_faces(frames, find), samples)
    if found is None:
        return {}, ["sync: not measured by SyncNet, the face is shown for less than 1.4 s"]
    return {"sync_lse_c": round(found[0], 4), "sync_lse_d": round(found[1], 4)}, []


def opening_at(opening: Series, fit: Fit, film: Path, rate: Fraction) -> Series:
    """Return the opening of the mouth over a film at a constant rate.

    Args:
        opening: (F,) of the frames of its picture.
        fit: how the picture was extended.
        film: the written film, for the times of its frames.
        rate: frames per second of the picture; the mean if they are uneven.

    Returns:
        (N,) opening of the mouth, NaN where unknown.
    """
    count, frames = len(opening), np.arange(fit.frames)
    if fit.extension == "bounce" and count > 1:
        turned = frames % (2 * (count - 1))
        frames = np.minimum(turned, 2 * (count - 1) - turned)
    shown = opening[np.minimum(frames, count - 1)]
    index = packet_index(film)
    times = (np.sort(index.stamps) - index.stamps.min()) * float(index.tick)
    grid = np.arange(round(float(times[-1]) * rate) + 1) / float(rate)
    return shown[np.searchsorted(times, grid + 0.5 / float(rate)) - 1]

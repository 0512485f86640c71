"""A video whose frames were written at an even pace gets the times that they really have."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tasks.media.timing import Timing

__all__ = ["retime"]

TICK = Fraction(1, 90000)
"""Seconds: what MPEG counts in; a millionth of a second is lost at most."""


def retime(source: Path, target: Path, timing: Timing) -> None:
    """Copy the picture of a file with another time for every frame; nothing is encoded again.

    Args:
        source: a file that we wrote ourselves: one picture stream, its frames in the order in which they are shown.
        target: to write, in a container of the same kind.
        timing: of as many frames.
    """
    moments = np.round(np.array([*timing.times, timing.seconds]) / float(TICK)).astype(np.int64)
    with av.open(str(source)) as coming, av.open(str(target), "w") as going:
        stream = going.add_stream_from_template(coming.streams.video[0])
        stream.time_base = TICK
        packets = (packet for packet in coming.demux(video=0) if packet.size)  # without what marks the end
        for packet, moment, after in zip(packets, moments[:-1], moments[1:], strict=True):
            packet.pts = packet.dts = int(moment)
            packet.duration = int(after - moment)
            packet.time_base = TICK
            packet.stream = stream
            going.mux(packet)

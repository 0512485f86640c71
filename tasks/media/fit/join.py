"""Join encoded pictures to one stream: packets are copied, and only their times are set again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.container
import av.packet
import numpy as np
from numpy.typing import NDArray

from tasks.media.input_formats import CLIP_FORMATS, open_container
from tasks.media.timing import Ticks
from troupe.errors import FfmpegError

__all__ = ["PacketIndex", "join_pictures", "packet_index"]


@dataclass(frozen=True, eq=False)
class PacketIndex:
    """Packets of a picture stream, in the order of decoding.

    Attributes:
        stamps: (F,) presentation times in ticks of the stream.
        decoding: (F,) decoding times in ticks.
        keys: (F,) whether decoding can start at the packet.
        tick: seconds per tick.
        size: (width, height) of the frames.
        rate: frames per second that the encoded stream itself states, as H.264 does; None without.
        parameters: codec, and what its decoder needs to know of the whole stream: of H.264, the parameter sets.
    """

    stamps: Ticks
    decoding: Ticks
    keys: NDArray[np.bool_]
    tick: Fraction
    size: tuple[int, int]
    rate: Fraction | None
    parameters: tuple[str, bytes]

    @property
    def ranks(self) -> Ticks:
        """(F,) position of each packet's frame in the order of presentation."""
        return np.argsort(np.argsort(self.stamps))


def packet_index(path: Path) -> PacketIndex:
    """List the packets of a file that troupe wrote.

    Raises:
        UnreadableMedia: it cannot be opened.
        FfmpegError: it has no picture.
    """
    with open_container(path, CLIP_FORMATS) as reader:
        stream = reader.streams.video[0]
        context, tick = stream.codec_context, stream.time_base
        rate = context.framerate
        size, parameters = (context.width, context.height), (context.name, context.extradata or b"")
        packets = [(packet.pts, packet.dts, packet.is_keyframe) for packet in _packets(reader)]
    if tick is None or not packets:
        raise FfmpegError(f"{path.name} has no picture")
    table = np.array(packets, np.int64)
    return PacketIndex(table[:, 0], table[:, 1], table[:, 2] > 0, tick, size, rate, parameters)


def join_pictures(
    target: Path, parts: Sequence[Path], *, skipped: int, stamps: Ticks, tick: Fraction, container: str
) -> None:
    """Write the packets of all parts, one after the other, unchanged but for their times.

    Args:
        target: the file to write.
        parts: files of equal `PacketIndex.parameters`, each starting with a keyframe.
        skipped: number of packets left out at the start of the last part.
        stamps: (F + 1,) times of the frames in the order of presentation, and the end of the last one, in ticks.
        tick: seconds per tick.
        container: ffmpeg's name of the container format.
    """
    shown: list[int] = []
    for part in parts:
        ranks = packet_index(part).ranks.tolist()
        offset = len(shown)
        shown += (
            [rank + offset for rank in ranks]
            if part is not parts[-1]
            else [rank - skipped + offset for rank in ranks[skipped:]]
        )
    # The decoder's clock starts so early that every frame is decoded before it is shown.
    delay = int((stamps[:-1] - stamps[shown]).max())
    with (
        open_container(parts[0], CLIP_FORMATS) as first,
        av.open(f"file:{target.absolute()}", "w", format=container, options={"fflags": "+bitexact"}) as writer,
    ):
        stream = writer.add_stream_from_template(first.streams.video[0])
        stream.time_base = tick
        for number, packet in enumerate(_all_packets(parts, skipped)):
            frame = shown[number]
            packet.pts, packet.dts = int(stamps[frame]), int(stamps[number]) - delay
            packet.duration = int(stamps[frame + 1] - stamps[frame])
            packet.time_base = tick
            packet.stream = stream
            writer.mux(packet)


def _all_packets(parts: Sequence[Path], skipped: int) -> Iterator[av.packet.Packet[Any]]:
    for part in parts:
        with open_container(part, CLIP_FORMATS) as reader:
            for number, packet in enumerate(_packets(reader)):
                if part is not parts[-1] or number >= skipped:
                    yield packet


def _packets(reader: av.container.InputContainer) -> Iterator[av.packet.Packet[Any]]:
    return (packet for packet in reader.demux(video=0) if packet.size)  # without the empty packet at the end

"""Frames of an encoded picture, as it stores them, forwards and backwards in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from tasks.media.ffmpeg_process import THREADS
from tasks.media.fit.join import packet_index
from tasks.media.input_formats import CLIP_FORMATS, open_container
from troupe.errors import FfmpegError

__all__ = ["MEMORY_BYTES", "PictureFrames", "RawFrame"]

MEMORY_BYTES = 128 * 2**20
"""Bytes of decoded frames that are held to show them backwards."""
RawFrame: TypeAlias = NDArray[np.uint8]
"""Planes of a frame, one after the other, as ffmpeg's `rawvideo` has them."""


class PictureFrames:
    """Decoded frames of a file that troupe wrote, as raw bytes in the format's own pixels: no colour is converted.

    Args:
        path: the file.
        pixels: ffmpeg's name of the pixel format.
        memory: bytes of frames to hold at most, but always one frame.
    """

    def __init__(self, path: Path, pixels: str, memory: int = MEMORY_BYTES) -> None:
        self._path, self._pixels = path, pixels
        index = packet_index(path)
        one = sum(plane.buffer_size for plane in av.VideoFrame(*index.size, pixels).planes)
        self._held = max(memory // one, 1)
        self._stamps = np.sort(index.stamps)
        starts = np.flatnonzero(index.keys)
        self._starts, self._seek_to = index.stamps[starts], index.decoding[starts]

    def __len__(self) -> int:
        return len(self._stamps)

    def forwards(self, first: int, stop: int) -> Iterator[RawFrame]:
        """Yield frames `first` to `stop` - 1.

        Raises:
            FfmpegError: not all of them decode.
        """
        if first >= stop:
            return
        start = np.searchsorted(self._starts, self._stamps[first], side="right") - 1
        expected, reason = first, "the file ended"
        try:
            with open_container(self._path, CLIP_FORMATS) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = THREADS
                container.seek(int(self._seek_to[start]), stream=stream)
                for frame in container.decode(stream):
                    if frame.pts is None or frame.pts < self._stamps[first]:
                        continue
                    if frame.pts != self._stamps[expected]:
                        reason = "a frame is missing"
                        break
                    yield _raw(frame, self._pixels)
                    expected += 1
                    if expected == stop:
                        return
        except av.error.FFmpegError as error:
            reason = error.strerror or reason
        raise FfmpegError(f"{self._path.name} stopped decoding at frame {expected} of {len(self)}: {reason}")

    def backwards(self, first: int, stop: int) -> Iterator[RawFrame]:
        """Yield frames `stop` - 1 down to `first`, decoded forwards a few at a time.

        Raises:
            FfmpegError: not all of them decode.
        """
        while stop > first:
            frames = list(self.forwards(max(stop - self._held, first), stop))
            stop -= len(frames)
            while frames:
                yield frames.pop()

    def bounced(self, count: int) -> Iterator[RawFrame]:
        """Yield `count` frames after the last one: backwards to the first one, forwards to the last one, and so on."""
        last = len(self) - 1
        if last == 0:
            yield from self.held(count)
            return
        for number, done in enumerate(range(0, count, last)):
            length = min(count - done, last)
            yield from self.forwards(1, 1 + length) if number % 2 else self.backwards(last - length, last)

    def held(self, count: int) -> Iterator[RawFrame]:
        """Yield the last frame `count` times."""
        for frame in self.forwards(len(self) - 1, len(self)):
            for _ in range(count):
                yield frame


def _raw(frame: av.VideoFrame, pixels: str) -> RawFrame:
    """Return a frame's planes without the padding of their lines."""
    if frame.format.name != pixels:
        frame = frame.reformat(format=pixels)
    sample = 1 + (frame.format.components[0].bits > 8)
    planes = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[: plane.height, : plane.width * sample]
        for plane in frame.planes
    )
    return np.concatenate([plane.reshape(-1) for plane in planes])

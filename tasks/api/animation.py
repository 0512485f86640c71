"""What a render gives: a video, or a stream of frames."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from troupe import Picture

__all__ = ["Animation", "FrameStream"]


@dataclass(frozen=True)
class Animation:
    """A finished video.

    Attributes:
        path: its file.
        width, height: size in pixels.
        fps: frames per second; the mean if they are unevenly spaced.
        frames: number of frames.
        seconds: duration.
        audio: whether it has sound.
        face: x1, y1, x2, y2 of the animated face in the portrait, in pixels.
        gaps: (first, last + 1) of the driving frames without the face.
        cuts: driving frames that begin another scene.
        quality: measures by name, as in the catalog's columns `quality_<name>`; None where they cannot be taken.
        notes: what was chosen, converted, mixed or left out.
        stage_seconds: seconds by stage.
    """

    path: Path
    width: int
    height: int
    fps: Fraction
    frames: int
    seconds: float
    audio: bool
    face: tuple[float, ...]
    gaps: tuple[tuple[int, int], ...]
    cuts: tuple[int, ...]
    quality: Mapping[str, float | None]
    notes: tuple[str, ...]
    stage_seconds: Mapping[str, float]

    @classmethod
    def of(cls, path: Path, record: Mapping[str, Any], notes: Iterable[str] = ()) -> Self:
        """Return the animation at `path` with the facts of its `render.json`, and further notes."""
        names = ("width", "height", "frames", "seconds", "audio", "quality", "stage_seconds")
        return cls(
            path=path,
            fps=Fraction(*record["fps"]),
            face=tuple(record["face"]),
            gaps=tuple((first, stop) for first, stop in record["gaps"]),
            cuts=tuple(record["cuts"]),
            notes=(*record["notes"], *notes),
            **{name: record[name] for name in names},
        )


class FrameStream(Iterator[Picture]):
    """The frames of a render, (H, W, 3) uint8 each, as they come out; `len` is the number of all of them.

    The end of the iteration, an error and `close` remove the temporary files.

    Attributes:
        fps: frames per second; the mean if they are unevenly spaced.
        times: seconds from the first frame to each one.

    Example:
        >>> with troupe.stream("ada.jpg", "clip.mp4") as frames:
        ...     for frame in frames:
        ...         show(frame)
    """

    def __init__(
        self, frames: Generator[Picture, None, None], fps: Fraction, times: tuple[float, ...], resources: ExitStack
    ) -> None:
        self.fps, self.times = fps, times
        self._frames, self._resources = frames, resources
        # Each stream has its own, so that the progress of streams that take turns is not mixed up.
        self._context = copy_context()

    def __len__(self) -> int:
        return len(self.times)

    def __next__(self) -> Picture:
        try:
            return self._context.run(next, self._frames)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream."""
        self._context.run(self._frames.close)
        self._resources.close()

    def add_resource(self, resource: ExitStack) -> None:
        """Close the resource when the stream is closed."""
        self._resources.callback(resource.close)

"""Detected faces, the choice among them, and the track of a face through a clip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from troupe.errors import NoFace, SettingsError

__all__ = ["LARGEST", "Face", "FaceChoice", "Floats", "Picture", "Track"]

Picture: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) RGB."""
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the picture it was found in.

    Attributes:
        box: (4,) float32, x1, y1, x2, y2.
        keypoints: (5, 2) float32, x and y of the eye on the picture's left, the other eye, the nose tip
            and the two mouth corners, left first.
        score: the detector's confidence, 0..1.
    """

    box: Floats
    keypoints: Floats
    score: float

    @property
    def area(self) -> float:
        """Area of the box in square pixels."""
        x1, y1, x2, y2 = (float(v) for v in self.box)
        return max(x2 - x1, 0.0) * max(y2 - y1, 0.0)


@dataclass(frozen=True)
class FaceChoice:
    """Choice among several faces: `largest`, `index:N` (left to right, from 0) or `x,y` (pixels)."""

    text: str = "largest"

    def __post_init__(self) -> None:
        self._parsed()

    def pick(self, faces: Sequence[Face], where: str) -> Face:
        """Return the chosen face.

        `x,y` chooses the face whose box holds the point, the nearest centre where none or several do.

        Raises:
            NoFace: there are no faces, or the index is too high. `where` names the picture.
        """
        if not faces:
            raise NoFace(f"no face found in {where}; try a larger or sharper picture of the face, or another detector")
        parsed = self._parsed()
        if parsed is None:
            return max(faces, key=lambda face: face.area)
        if isinstance(parsed, int):
            ordered = sorted(faces, key=lambda face: float(face.box[0] + face.box[2]))
            if parsed >= len(ordered):
                raise NoFace(f"no face {self.text} in {where}: it shows {len(faces)} (counted from 0)")
            return ordered[parsed]
        x, y = parsed

        def distance(face: Face) -> tuple[bool, float]:
            x1, y1, x2, y2 = (float(v) for v in face.box)
            outside = not (x1 <= x <= x2 and y1 <= y <= y2)
            return outside, ((x1 + x2) / 2 - x) ** 2 + ((y1 + y2) / 2 - y) ** 2

        return min(faces, key=distance)

    def _parsed(self) -> int | tuple[float, float] | None:
        """Parse the choice: None for the largest, an index, or a point."""
        if self.text == "largest":
            return None
        try:
            if self.text.startswith("index:"):
                index = int(self.text.removeprefix("index:"))
                if index < 0:
                    raise ValueError
                return index
            x, y = (float(part) for part in self.text.split(","))
        except ValueError:
            raise SettingsError(f"face is {self.text!r}; use largest, index:N or x,y (pixels)") from None
        if not (np.isfinite(x) and np.isfinite(y)):
            raise SettingsError(f"face is {self.text!r}; use largest, index:N or x,y (pixels)")
        return x, y


LARGEST = FaceChoice()


@dataclass(frozen=True, eq=False)
class Track:
    """One face through a clip, with an entry per frame.

    Attributes:
        boxes: (F, 4) float32, x1, y1, x2, y2 in pixels of the decoded frame.
        keypoints: (F, 5, 2) float32, in the order of `Face.keypoints`.
        scores: (F,) float32, detection scores; 0 where the face was not detected and its box is interpolated.
        cuts: first frames of the scenes after the first one, increasing.
    """

    boxes: Floats
    keypoints: Floats
    scores: Floats
    cuts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        frames = len(self.boxes)
        if frames == 0:
            raise NoFace("a track needs at least one frame")
        if (self.boxes.shape, self.keypoints.shape, self.scores.shape) != ((frames, 4), (frames, 5, 2), (frames,)):
            raise ValueError(
                f"boxes, keypoints and scores of a track must be (F, 4), (F, 5, 2), (F,), got "
                f"{self.boxes.shape}, {self.keypoints.shape}, {self.scores.shape}"
            )
        if any(not 0 < cut < frames for cut in self.cuts) or list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError(f"cuts of a track must increase and be within its {frames} frames, got {self.cuts}")

    def __len__(self) -> int:
        return len(self.boxes)

    def face(self, frame: int) -> Face:
        """Return the face in one frame."""
        return Face(self.boxes[frame], self.keypoints[frame], float(self.scores[frame]))

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Runs of frames in which the face was not detected, as (first, last + 1)."""
        missing = np.concatenate([[False], self.scores <= 0, [False]])
        edges = np.flatnonzero(missing[1:] != missing[:-1])
        return tuple((int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True))

    @property
    def score(self) -> float:
        """Mean detection score of the frames in which the face was detected; 0 if there are none."""
        detected = self.scores[self.scores > 0]
        return float(detected.mean()) if len(detected) else 0.0

    def part(self, first: int, stop: int) -> Track:
        """Return the track of frames `first` to `stop` - 1."""
        cuts = tuple(cut - first for cut in self.cuts if first < cut < stop)
        return Track(self.boxes[first:stop], self.keypoints[first:stop], self.scores[first:stop], cuts)

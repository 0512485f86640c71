"""Quality measures that are cheap enough to take for every render."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.animator import Animator
from models.faces import FaceDetector, align_face, prepare_portrait
from models.motion import Motion
from tasks.media import read_picture
from tasks.quality.distances import Flicker, expression_distance, pose_distance, shape_distance, similarity
from tasks.quality.mouth import TrackedMouth
from troupe import FaceChoice, Picture, Track
from troupe.errors import TroupeError
from troupe.faces import LARGEST, Face, Floats

__all__ = ["QualityMeter", "aligned_portrait", "track_of"]

SAMPLES = 5
"""Number of frames on which faces are measured; flicker is measured on all frames."""
_FACE_MEASURES = ("identity", "landmarks", "expression", "pose")

_log = logging.getLogger(__name__)


class QualityMeter:
    """Quality measures of one render, updated with each animated crop.

    Args:
        animator, detector: networks that made the render; its identity encoder compares the faces.
        identity: returns the identity vector of the portrait's face, (1, N); called when faces are compared.
        shots, track: motion of the driving clip, one per shot, and its track.
    """

    def __init__(
        self,
        animator: Animator,
        detector: FaceDetector,
        identity: Callable[[], Tensor],
        shots: Sequence[Motion],
        track: Track,
    ) -> None:
        self._animator, self._detector, self._identity = animator, detector, identity
        self._expression = torch.cat([shot.expression for shot in shots])
        self._rotation = torch.cat([shot.rotation for shot in shots])
        self._track = track
        self._flicker = Flicker()
        self._near: Floats | None = None
        self._mouth: TrackedMouth | None = TrackedMouth(self._keypoints)
        self._sample_indices = set(np.linspace(0, len(self._rotation) - 1, SAMPLES).round().astype(int).tolist())
        self._samples: list[tuple[int, Picture]] = []

    def update(self, index: int, frame: Picture) -> None:
        """Add the next frame, (S, S, 3) uint8."""
        self._flicker.update(frame)
        self._follow_mouth(frame)
        if index in self._sample_indices:
            self._samples.append((index, frame.copy()))

    def compute(self) -> dict[str, float | None]:
        """Return the measures by name, as in the catalog's columns `quality_<name>`.

        `identity`: similarity to the portrait. `landmarks`: `shape_distance` to the driver. `expression`, `pose`:
        distances to the driver's output of the model's own motion encoders. `flicker`: see `Flicker`. All but
        `flicker` are None where no face is found in the sampled frames, and where measuring fails: a failure is
        logged and never fails the render.
        """
        measures: dict[str, float | None] = dict.fromkeys(_FACE_MEASURES)
        try:
            found = [(i, frame, face) for i, frame in self._samples if (face := self._face(frame)) is not None]
            if found:
                indices, frames, faces = (list(column) for column in zip(*found, strict=True))
                measures |= self._compare(indices, frames, faces)
        except TroupeError as error:
            names = ", ".join(_FACE_MEASURES)
            _log.warning("could not measure the render, its row lacks %s: %s: %s", names, error.kind, error.message)
        return {**measures, "flicker": self._flicker.compute()}

    def mouth(self) -> list[int | None]:
        """Return how open the mouth is in each frame, once all are added; empty if it was not seen or not measured.

        Larger is more open, from -1000 to 1000, and None where the mouth was not seen; see `MouthMeter`.
        """
        opening = self._opening()
        largest = float(np.nanmax(np.abs(opening))) if np.isfinite(opening).any() else 0.0
        if largest == 0:
            return []
        return [round(1000 * value / largest) if np.isfinite(value) else None for value in opening.tolist()]

    def _opening(self) -> NDArray[np.float64]:
        try:
            return self._mouth.compute() if self._mouth is not None else np.zeros(0)
        except TroupeError as error:
            _log.warning("could not measure the mouth of the render: %s: %s", error.kind, error.message)
            return np.zeros(0)

    def _follow_mouth(self, frame: Picture) -> None:
        try:
            if self._mouth is not None:
                self._mouth.update(frame)
        except TroupeError as error:
            _log.warning("could not measure the mouth of the render: %s: %s", error.kind, error.message)
            self._mouth = None

    def _keypoints(self, frame: Picture) -> Floats | None:
        """Find the face where it was last, which takes a fraction of a search through the whole frame."""
        near = self._detector.detect_near(frame, self._near) if self._near is not None else []
        face = LARGEST.pick(near, "the render") if near else self._face(frame)
        self._near = None if face is None else face.box
        return None if face is None else face.keypoints

    def _face(self, frame: Picture) -> Face | None:
        faces = self._detector.detect(frame)
        return LARGEST.pick(faces, "the render") if faces else None

    def _compare(self, indices: list[int], frames: list[Picture], faces: list[Face]) -> dict[str, float]:
        identity = self._identity()
        aligned = [align_face(frame, face.keypoints) for frame, face in zip(frames, faces, strict=True)]
        motion = self._animator.encode_motion(frames, track_of(faces))
        driving = self._track.keypoints
        shapes = [shape_distance(face.keypoints, driving[i]) for i, face in zip(indices, faces, strict=True)]
        return {
            "identity": float(np.mean([similarity(identity, self._animator.identify(face)) for face in aligned])),
            "landmarks": float(np.mean(shapes)),
            "expression": expression_distance(motion.expression, self._expression[indices]),
            "pose": pose_distance(motion.rotation, self._rotation[indices]),
        }


def aligned_portrait(detector: FaceDetector, size: int, path: Path, choice: FaceChoice) -> Floats:
    """Return the portrait's face aligned for identity networks, (112, 112, 3) float32 in [0, 1].

    Raises:
        InputError: the picture cannot be read, or does not show the chosen face.
    """
    return prepare_portrait(read_picture(path), detector, choice, size, path.name).aligned


def track_of(faces: list[Face]) -> Track:
    """Return the faces of successive frames as a track."""
    return Track(
        boxes=np.stack([face.box for face in faces]),
        keypoints=np.stack([face.keypoints for face in faces]),
        scores=np.array([face.score for face in faces], dtype=np.float32),
    )

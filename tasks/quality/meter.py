"""The cheap measures that every render is given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.animator import Animator
from models.faces import FaceDetector, align_face, prepare_portrait
from models.motion import Motion
from tasks.media import read_picture
from tasks.quality.distances import Flicker, expression_distance, pose_distance, shape_distance, similarity
from troupe import FaceChoice, Picture, Track
from troupe.errors import TroupeError
from troupe.faces import LARGEST, Face, Floats

__all__ = ["QualityMeter", "aligned_portrait", "track_of"]

SAMPLES = 5
"""Frames that are looked at closely; flicker sees all."""


class QualityMeter:
    """Sees the animated crops of a render pass by, and says then how good they are.

    Args:
        animator, detector: what the render is made with; identity is what its own encoder takes for it.
        portrait: file of the picture, and which face in it.
        shots, track: of the driving clip; its motion, in the parts in which it was encoded.
    """

    def __init__(
        self,
        animator: Animator,
        detector: FaceDetector,
        portrait: tuple[Path, FaceChoice],
        shots: Sequence[Motion],
        track: Track,
    ) -> None:
        self._animator, self._detector, self._portrait = animator, detector, portrait
        self._expression = torch.cat([shot.expression for shot in shots])
        self._rotation = torch.cat([shot.rotation for shot in shots])
        self._track = track
        self._flicker = Flicker()
        self._wanted = set(np.linspace(0, len(self._rotation) - 1, SAMPLES).round().astype(int).tolist())
        self._sampled: list[tuple[int, Picture]] = []

    def see(self, index: int, frame: Picture) -> None:
        """The next frame, (S, S, 3) uint8."""
        self._flicker.see(frame)
        if index in self._wanted:
            self._sampled.append((index, frame.copy()))

    def measures(self) -> dict[str, float | None]:
        """By name, as in the catalog's columns `quality_<name>`.

        `identity`: similarity to the portrait. `landmarks`: `shape_distance` to the driver. `expression`, `pose`:
        distances to the driver in the words of the model's own motion encoders. `flicker`: see `Flicker`. All but
        the last are None where no face is seen in the frames that are looked at. No trouble of measuring is
        worth losing a render for.
        """
        found: dict[str, float | None] = dict.fromkeys(("identity", "landmarks", "expression", "pose"))
        try:
            seen = [(i, frame, face) for i, frame in self._sampled if (face := self._face(frame)) is not None]
            if seen:
                found |= self._compared([i for i, *_ in seen], [f for _, f, _ in seen], [face for *_, face in seen])
        except TroupeError:
            pass
        return {**found, "flicker": self._flicker.value}

    def _face(self, frame: Picture) -> Face | None:
        faces = self._detector.detect(frame)
        return LARGEST.pick(faces, "the render") if faces else None

    def _compared(self, at: list[int], frames: list[Picture], faces: list[Face]) -> dict[str, float]:
        size = self._animator.config.image_size
        identity = self._animator.identify(aligned_portrait(self._detector, size, *self._portrait))
        vectors = [
            self._animator.identify(align_face(f, face.keypoints)) for f, face in zip(frames, faces, strict=True)
        ]
        own = self._animator.encode_motion(frames, track_of(faces))
        shapes = [shape_distance(face.keypoints, self._track.keypoints[i]) for i, face in zip(at, faces, strict=True)]
        return {
            "identity": float(np.mean([similarity(identity, vector) for vector in vectors])),
            "landmarks": float(np.mean(shapes)),
            "expression": expression_distance(own.expression, self._expression[at]),
            "pose": pose_distance(own.rotation, self._rotation[at]),
        }


def aligned_portrait(detector: FaceDetector, size: int, path: Path, choice: FaceChoice) -> Floats:
    """The portrait's face as identity networks want it, (112, 112, 3) float32 in [0, 1].

    Raises:
        InputError: the picture cannot be read, or shows no such face.
    """
    return prepare_portrait(read_picture(path), detector, choice, size, path.name).aligned


def track_of(faces: list[Face]) -> Track:
    """Faces of successive frames as a track."""
    return Track(
        boxes=np.stack([face.box for face in faces]),
        keypoints=np.stack([face.keypoints for face in faces]),
        scores=np.array([face.score for face in faces], dtype=np.float32),
    )

"""Track one face through a clip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import numpy as np

from models.faces.cuts import CutDetector
from models.faces.detection.boxes import iou
from models.faces.detection.detector import FaceDetector
from models.faces.gaps import MAX_BRIDGED, fill_gaps
from models.faces.recognition import Recognise
from troupe.errors import InputError, NoFace
from troupe.faces import LARGEST, Face, FaceChoice, Floats, Picture, Track

__all__ = ["track_face"]

MAX_MOVE = 1.0
"""Largest movement of the face's centre between frames, in sides of its box; a face farther away is not the same."""
MAX_MOVE_GROWTH = 0.1
"""How much `MAX_MOVE` grows per frame in which the face was not detected."""
REGION_REUSE_IOU = 0.7
"""IoU down to which the detector searches the same region again: a region that moved with every frame would change the
detector's error from frame to frame, and the track would jitter."""
SAME_FACE_IOU = 0.3
"""IoU above which the only face at the last position is the same one, if the gap is short."""
SAME_PERSON_COSINE = 0.3
"""Cosine from which two faces may be the same person's: with such networks, those of strangers are around 0."""
COSINE_MARGIN = 0.2
"""Lead in cosine with which the more similar face wins over the nearer one."""
BLANK_RANGE, BLANK_STRIDE = 12, 4
"""Range of levels below which a frame is blank, such as one faded to black, and is not searched; and the stride at
which the frame is sampled."""
RESEEK_INTERVAL = 5
"""Frames between two searches for a face that has left: each costs a pass of the recognition network per face."""


def track_face(
    frames: Iterable[Picture],
    detector: FaceDetector,
    choice: FaceChoice,
    where: str,
    *,
    recognise: Recognise | None = None,
    reselect: bool = False,
) -> Track:
    """Find the chosen face in every frame, in one pass that keeps boxes and no more than two pictures.

    `choice` selects among the faces of the first frame that shows any. From then on the detector searches around the
    last position, and the whole picture if the face is not there. Of several faces, the one with the largest overlap
    with the last position continues the track, or else the nearest, up to `MAX_MOVE`; where two overlap, or after a
    gap, their embeddings are compared. After a cut, the most similar face continues the track. If none is similar
    enough, the face is missing until it is seen again or, with `reselect`, `choice` selects another one.

    In frames without the face the score is 0, and `models.faces.gaps.fill_gaps` fills in box and keypoints. A cut
    counts only if the new scene shows faces: black frames, flashes and pictures of things are gaps.

    Args:
        frames: (H, W, 3) each.
        detector: face detector.
        choice: which face to track.
        where: name of the clip, for error messages.
        recognise: embeds faces for comparison; without it, only positions are compared.
        reselect: whether to select another face in a scene that does not show the first one.

    Raises:
        NoFace: no frame shows a face, or the first one that does shows too few faces for `choice`.
        InputError: there are no frames.
    """
    tracker = _Tracker(detector, choice, where, recognise, reselect)
    count = 0
    for index, frame in enumerate(frames):
        count = index + 1
        tracker.update(index, frame)
    if not count:
        raise InputError(f"{where} has no frames")
    if not tracker.seen:
        raise NoFace(f"no face found in any of the {count} frames of {where}; try another clip or detector")
    return _to_track(tracker.seen, count, tuple(tracker.cuts))


class _Tracker:
    """State of the track so far."""

    def __init__(
        self, detector: FaceDetector, choice: FaceChoice, where: str, recognise: Recognise | None, reselect: bool
    ) -> None:
        self.seen: list[tuple[int, Face]] = []
        self.cuts: list[int] = []
        self._detector, self._choice, self._where = detector, choice, where
        self._recognise, self._reselect = recognise, reselect
        self._scenes = CutDetector()
        self._sightings: list[tuple[Picture, Face]] = []  # first and last sighting, to compare with
        self._around: Floats | None = None  # the box around which the detector searches
        self._lost_at: int | None = None  # the frame in which the face was found to have left

    def update(self, index: int, frame: Picture) -> None:
        """Process the next frame."""
        if np.ptp(frame[::BLANK_STRIDE, ::BLANK_STRIDE]) < BLANK_RANGE:
            return
        near = self._near(index, frame)
        faces = near or self._detector.detect(frame)
        if not faces:
            return
        if self._scenes.is_cut(frame) and self.seen:
            self.cuts.append(index)
            faces = self._detector.detect(frame) if near else faces
            found = self._after_cut(frame, faces, index)
        elif not self.seen:
            found = self._choice.pick(faces, f"{self._where}, frame {index}")
        elif self._lost_at is not None:
            searched = (index - self._lost_at) % RESEEK_INTERVAL == 0
            found = self._most_similar(frame, faces) if searched else None
        else:
            found = self._continuation(frame, faces, index)
        if found is not None:
            self.seen.append((index, found))
            self._sightings = [*self._sightings[:1], (frame, found)]
            self._lost_at = None

    def _near(self, index: int, frame: Picture) -> list[Face]:
        """Detect faces around the position in the previous frame; empty if the face was not seen there."""
        if not self.seen or self.seen[-1][0] != index - 1:
            return []
        last = self.seen[-1][1].box
        if self._around is None or iou(self._around, last[None])[0] < REGION_REUSE_IOU:
            self._around = last
        return self._detector.detect_near(frame, self._around)

    def _after_cut(self, frame: Picture, faces: Sequence[Face], index: int) -> Face | None:
        last = self.seen[-1][1]
        found = self._most_similar(frame, faces) if self._recognise else _by_place(faces, last, 0)
        if found is None and self._reselect:
            self._sightings = []
            with suppress(NoFace):  # fewer faces than in the first scene
                found = self._choice.pick(faces, self._where)
            found = found or LARGEST.pick(faces, self._where)
        if found is None:
            self._lost_at = index
        return found

    def _continuation(self, frame: Picture, faces: Sequence[Face], index: int) -> Face | None:
        """Return the face that continues the track; None if none of them can."""
        last_index, last = self.seen[-1]
        missed = index - last_index - 1
        best = _by_place(faces, last, missed)
        if best is None or self._recognise is None:
            return best
        overlaps = {id(face): float(iou(last.box, face.box[None])[0]) for face in faces}
        candidates = [face for face in faces if overlaps[id(face)] > 0 or face is best]
        if len(candidates) == 1 and missed <= MAX_BRIDGED and overlaps[id(best)] > SAME_FACE_IOU:
            return best
        cosines = {id(face): self._similarity(frame, face) for face in candidates}
        most = max(candidates, key=lambda face: cosines[id(face)])
        if cosines[id(most)] > cosines[id(best)] + COSINE_MARGIN:
            return most
        return (
            best
            if (overlaps[id(best)] > SAME_FACE_IOU and missed <= MAX_BRIDGED) or cosines[id(best)] >= SAME_PERSON_COSINE
            else None
        )

    def _most_similar(self, frame: Picture, faces: Sequence[Face]) -> Face | None:
        """Return the face most similar to the tracked one; None if none is similar enough."""
        if self._recognise is None:
            return None
        cosines = [self._similarity(frame, face) for face in faces]
        best = int(np.argmax(cosines))
        if cosines[best] < SAME_PERSON_COSINE:
            return None
        # Where similarity does not decide, the position does.
        close = [face for face, value in zip(faces, cosines, strict=True) if value > cosines[best] - COSINE_MARGIN]
        return max(close, key=lambda face: iou(self.seen[-1][1].box, face.box[None])[0])

    def _similarity(self, frame: Picture, face: Face) -> float:
        """Return the larger cosine similarity with the first and the last sighting."""
        assert self._recognise is not None
        vector = self._recognise(frame, face)
        known = [self._recognise(picture, seen) for picture, seen in self._sightings]
        return max(float(vector @ other) if vector.shape == other.shape else 0.0 for other in known)


def _by_place(faces: Sequence[Face], last: Face, missed: int) -> Face | None:
    """Return the face that continues `last` by position after `missed` frames without it; None if none of them can."""
    boxes = np.stack([face.box for face in faces])
    overlaps = iou(last.box, boxes)
    moved = np.linalg.norm(_centres(boxes) - _centres(last.box), axis=1)
    reach = (MAX_MOVE + MAX_MOVE_GROWTH * missed) * float((last.box[2:] - last.box[:2]).max())
    near = [i for i in range(len(faces)) if moved[i] <= reach]
    return faces[max(near, key=lambda i: (overlaps[i], -moved[i]))] if near else None


def _centres(boxes: Floats) -> Floats:
    """Centres (..., 2) of boxes (..., 4)."""
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2, dtype=np.float32)


def _to_track(seen: Sequence[tuple[int, Face]], count: int, cuts: tuple[int, ...]) -> Track:
    """Build a track of `count` frames from its sightings."""
    scores = np.zeros(count, dtype=np.float32)
    values = np.zeros((count, 14))
    for index, face in seen:
        scores[index] = face.score
        values[index] = np.concatenate([face.box, face.keypoints.ravel()])
    filled = fill_gaps(values, scores > 0, cuts).astype(np.float32)
    return Track(filled[:, :4], filled[:, 4:].reshape(count, 5, 2), scores, cuts)

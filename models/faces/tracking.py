"""One face followed through a clip."""

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
"""How far the face's centre may move between frames, in sides of its box: farther off it is somebody else."""
MAX_MOVE_GROWTH = 0.1
"""How much farther after every frame in which it was not seen."""
REGION_REUSE_IOU = 0.7
"""Overlap down to which the face is sought around the same place: what the network sees then stands still, and so does
the error it makes, where a place that moved with every frame would make the face tremble."""
SAME_FACE_IOU = 0.3
"""Overlap from which a face that is alone with it is the same, if it was not gone for long."""
SAME_PERSON_COSINE = 0.3
"""Cosine from which two faces can be the same person's: of such networks, strangers' are around 0, far from it."""
COSINE_MARGIN = 0.2
"""By how much more the better of two faces must be alike for that to count more than their places."""
BLANK_RANGE, BLANK_STRIDE = 12, 4
"""Levels within which all of a frame lies that shows nothing, as one faded to black; it need not be searched. And the
step at which it is sampled."""
RESEEK_INTERVAL = 5
"""Frames between two looks for somebody who has left: every look is a pass of the recognition network a face."""


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

    `choice` picks among the faces of the first frame that shows any. From there on it is sought around where it was
    last, and in the whole picture if it is not there. Of several faces it is the one that overlaps most with where it
    was, or else is nearest to it, unless even that is too far off; where two overlap, or after a while in which it was
    not seen, the faces themselves are compared. With another scene it is whoever is most alike, and nobody is nobody:
    the face is then missing until it is seen again, or, if asked for, chosen anew.

    Where it is not seen, box and keypoints are as `models.faces.gaps.fill_gaps` says; the score is 0 there. A scene is
    noted as another one only if it shows faces: black frames, flashes and pictures of things are gaps.

    Args:
        frames: (H, W, 3) each.
        detector: finds the faces.
        choice: which face is meant.
        where: name of the clip, for messages.
        recognise: compares faces; without it, places are all there is to go by.
        anew: choose another face in a scene that the first one is not in.

    Raises:
        NoFace: no frame shows a face, or the first one that does shows fewer than `choice` asks for.
        InputError: there are no frames.
    """
    tracker = _Tracker(detector, choice, where, recognise, reselect)
    count = 0
    for index, frame in enumerate(frames):
        count = index + 1
        tracker.see(index, frame)
    if not count:
        raise InputError(f"{where} has no frames")
    if not tracker.seen:
        raise NoFace(f"no face found in any of the {count} frames of {where}; try another clip or detector")
    return _filled(tracker.seen, count, tuple(tracker.cuts))


class _Tracker:
    """What is known of the face so far."""

    def __init__(
        self, detector: FaceDetector, choice: FaceChoice, where: str, recognise: Recognise | None, reselect: bool
    ) -> None:
        self.seen: list[tuple[int, Face]] = []
        self.cuts: list[int] = []
        self._detector, self._choice, self._where = detector, choice, where
        self._recognise, self._anew = recognise, reselect
        self._scenes = CutDetector()
        self._known: list[tuple[Picture, Face]] = []  # where it was first and last seen, to compare with
        self._around: Floats | None = None  # the box around which it is sought
        self._gone: int | None = None  # the frame since which it is known to have left

    def see(self, index: int, frame: Picture) -> None:
        """Take the next frame."""
        if np.ptp(frame[::BLANK_STRIDE, ::BLANK_STRIDE]) < BLANK_RANGE:
            return
        near = self._near(index, frame)
        faces = near or self._detector.detect(frame)
        if not faces:
            return
        if self._scenes.begins_with(frame) and self.seen:
            self.cuts.append(index)
            faces = self._detector.detect(frame) if near else faces
            found = self._after_cut(frame, faces, index)
        elif not self.seen:
            found = self._choice.pick(faces, f"{self._where}, frame {index}")
        elif self._gone is not None:
            look = (index - self._gone) % RESEEK_INTERVAL == 0
            found = self._most_alike(frame, faces) if look else None
        else:
            found = self._same(frame, faces, index)
        if found is not None:
            self.seen.append((index, found))
            self._known = [*self._known[:1], (frame, found)]
            self._gone = None

    def _near(self, index: int, frame: Picture) -> list[Face]:
        """The faces around where it was in the frame before; none if it was not seen there."""
        if not self.seen or self.seen[-1][0] != index - 1:
            return []
        last = self.seen[-1][1].box
        if self._around is None or iou(self._around, last[None])[0] < REGION_REUSE_IOU:
            self._around = last
        return self._detector.detect_near(frame, self._around)

    def _after_cut(self, frame: Picture, faces: Sequence[Face], index: int) -> Face | None:
        last = self.seen[-1][1]
        found = self._most_alike(frame, faces) if self._recognise else _by_place(faces, last, 0)
        if found is None and self._anew:
            self._known = []
            with suppress(NoFace):  # fewer faces than in the first scene
                found = self._choice.pick(faces, self._where)
            found = found or LARGEST.pick(faces, self._where)
        if found is None:
            self._gone = index
        return found

    def _same(self, frame: Picture, faces: Sequence[Face], index: int) -> Face | None:
        """The one of `faces` that goes on; None if none of them can be it."""
        last_index, last = self.seen[-1]
        missed = index - last_index - 1
        best = _by_place(faces, last, missed)
        if best is None or self._recognise is None:
            return best
        overlaps = {id(face): float(iou(last.box, face.box[None])[0]) for face in faces}
        rivals = [face for face in faces if overlaps[id(face)] > 0 or face is best]
        if len(rivals) == 1 and missed <= MAX_BRIDGED and overlaps[id(best)] > SAME_FACE_IOU:
            return best
        alike = {id(face): self._likeness(frame, face) for face in rivals}
        most = max(rivals, key=lambda face: alike[id(face)])
        if alike[id(most)] > alike[id(best)] + COSINE_MARGIN:
            return most
        return (
            best
            if (overlaps[id(best)] > SAME_FACE_IOU and missed <= MAX_BRIDGED) or alike[id(best)] >= SAME_PERSON_COSINE
            else None
        )

    def _most_alike(self, frame: Picture, faces: Sequence[Face]) -> Face | None:
        """Whoever is most like it, if anybody is."""
        if self._recognise is None:
            return None
        alike = [self._likeness(frame, face) for face in faces]
        best = int(np.argmax(alike))
        if alike[best] < SAME_PERSON_COSINE:
            return None
        # Where the network tells nobody apart, the place does.
        close = [face for face, value in zip(faces, alike, strict=True) if value > alike[best] - COSINE_MARGIN]
        return max(close, key=lambda face: iou(self.seen[-1][1].box, face.box[None])[0])

    def _likeness(self, frame: Picture, face: Face) -> float:
        """The larger cosine with how it looked first and last."""
        assert self._recognise is not None
        vector = self._recognise(frame, face)
        known = [self._recognise(picture, seen) for picture, seen in self._known]
        return max(float(vector @ other) if vector.shape == other.shape else 0.0 for other in known)


def _by_place(faces: Sequence[Face], last: Face, missed: int) -> Face | None:
    """The one of `faces` that continues `last`, not seen for `missed` frames; None if none of them can be it."""
    boxes = np.stack([face.box for face in faces])
    overlaps = iou(last.box, boxes)
    moved = np.linalg.norm(_centres(boxes) - _centres(last.box), axis=1)
    reach = (MAX_MOVE + MAX_MOVE_GROWTH * missed) * float((last.box[2:] - last.box[:2]).max())
    near = [i for i in range(len(faces)) if moved[i] <= reach]
    return faces[max(near, key=lambda i: (overlaps[i], -moved[i]))] if near else None


def _centres(boxes: Floats) -> Floats:
    """(..., 4) boxes to (..., 2) points."""
    return np.asarray((boxes[..., :2] + boxes[..., 2:]) / 2, dtype=np.float32)


def _filled(seen: Sequence[tuple[int, Face]], count: int, cuts: tuple[int, ...]) -> Track:
    """A track of `count` frames from its sightings."""
    scores = np.zeros(count, dtype=np.float32)
    values = np.zeros((count, 14))
    for index, face in seen:
        scores[index] = face.score
        values[index] = np.concatenate([face.box, face.keypoints.ravel()])
    filled = fill_gaps(values, scores > 0, cuts).astype(np.float32)
    return Track(filled[:, :4], filled[:, 4:].reshape(count, 5, 2), scores, cuts)

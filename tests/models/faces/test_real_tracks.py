"""Tracks of real clips, intact and modified: gaps, cuts and the person are as documented."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.faces import FaceDetector, FaceRecogniser, open_detector, split_shots, track_face
from models.faces.detection.boxes import iou
from models.faces.gaps import MAX_BRIDGED
from tests.models.faces.media import frames
from troupe.faces import LARGEST, FaceChoice, Picture, Track

CLIPS = {"d0": 78, "d9": 110, "d19": 110, "driving_video": 110}
"""Names of clips, and the number of frames used."""
SIDE = 320


@pytest.fixture(scope="module")
def detector(shared: Path) -> FaceDetector:
    return open_detector(shared / "weights" / "scrfd_500m_bnkps.onnx", "cpu")


@pytest.fixture(scope="module")
def recogniser(shared: Path) -> FaceRecogniser:
    return FaceRecogniser(shared / "weights" / "mobilefacenet.onnx")


@cache
def clip(folder: Path, name: str) -> tuple[Picture, ...]:
    small = (cv2.resize(frame, (SIDE, SIDE)) for frame in frames(folder / f"{name}.mp4", CLIPS[name]))
    return tuple(np.asarray(frame, dtype=np.uint8) for frame in small)


def blacked(pictures: tuple[Picture, ...], first: int, count: int) -> Iterator[Picture]:
    for index, picture in enumerate(pictures):
        yield np.zeros_like(picture) if first <= index < first + count else picture


@pytest.fixture(scope="module")
def clean(shared: Path, detector: FaceDetector, recogniser: FaceRecogniser) -> dict[str, Track]:
    return {
        name: track_face(clip(shared / "media", name), detector, LARGEST, name, recognise=recogniser) for name in CLIPS
    }


@pytest.mark.parametrize("name", CLIPS)
def test_no_gaps_and_no_cuts(clean: dict[str, Track], name: str) -> None:
    track = clean[name]
    assert (len(track), track.gaps, track.cuts) == (CLIPS[name], (), ())
    assert 0.6 < track.score < 1


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("missing", [5, 30, 90])
def test_black_frames(
    shared: Path, detector: FaceDetector, recogniser: FaceRecogniser, clean: dict[str, Track], name: str, missing: int
) -> None:
    first, count = 5, min(missing, CLIPS[name] - 10)
    modified = blacked(clip(shared / "media", name), first, count)
    track = track_face(modified, detector, LARGEST, name, recognise=recogniser)
    assert track.gaps == ((first, first + count),)
    assert track.cuts == ()
    assert (track.boxes[first + count - 1] == track.boxes[first - 1]).all() == (count > MAX_BRIDGED)
    assert len(split_shots(track, "cut")) == (2 if count > MAX_BRIDGED else 1)
    after = slice(first + count, None)
    overlaps = [iou(a, b[None])[0] for a, b in zip(track.boxes[after], clean[name].boxes[after], strict=True)]
    assert min(overlaps) > 0.75


def test_two_clips_in_sequence(
    shared: Path, detector: FaceDetector, recogniser: FaceRecogniser, clean: dict[str, Track]
) -> None:
    one, other = clip(shared / "media", "d19")[:40], clip(shared / "media", "d9")[:40]
    together = [*one, *other, *one]
    held = track_face(together, detector, LARGEST, "both", recognise=recogniser)
    assert (held.cuts, held.gaps, split_shots(held, "hold")) == ((40, 80), ((40, 80),), ((0, 120),))
    cut = track_face(together, detector, LARGEST, "both", recognise=recogniser, reselect=True)
    assert (cut.cuts, cut.gaps, split_shots(cut, "cut")) == ((40, 80), (), ((0, 40), (40, 80), (80, 120)))
    assert iou(cut.boxes[60], clean["d9"].boxes[20][None])[0] > 0.75
    assert iou(held.boxes[100], clean["d19"].boxes[20][None])[0] > 0.75


@pytest.mark.parametrize(("choice", "name", "left"), [("index:0", "d19", 0), ("index:1", "d9", SIDE)])
def test_two_clips_side_by_side(
    shared: Path,
    detector: FaceDetector,
    recogniser: FaceRecogniser,
    clean: dict[str, Track],
    choice: str,
    name: str,
    left: int,
) -> None:
    pairs = zip(clip(shared / "media", "d19"), clip(shared / "media", "d9"), strict=True)
    beside = tuple(np.concatenate(pair, axis=1) for pair in pairs)
    for missing in (0, 30):
        track = track_face(blacked(beside, 20, missing), detector, FaceChoice(choice), "beside", recognise=recogniser)
        assert track.gaps == (((20, 50),) if missing else ())
        assert track.cuts == ()
        expected = clean[name].boxes[60:] + np.array([left, 0, left, 0], dtype=np.float32)
        assert min(iou(a, b[None])[0] for a, b in zip(track.boxes[60:], expected, strict=True)) > 0.75

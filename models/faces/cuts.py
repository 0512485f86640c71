"""Where a clip is cut, by PySceneDetect."""

from __future__ import annotations

import cv2

from troupe.faces import Picture
from troupe.terminal import without_stdin

with without_stdin():  # importing it runs ffmpeg
    from scenedetect import ContentDetector, FrameTimecode

__all__ = ["CutDetector"]

THUMBNAIL_SIDE = 96
"""Pixels of the longer side of what is compared: a cut is seen in a thumbnail, and details only make noise."""
CUT_THRESHOLD = 27.0
"""PySceneDetect's own default: the mean change of hue, saturation and lightness, of 255, that is a cut."""
_NOMINAL_FPS = 25.0


class CutDetector:
    """Compares each picture with the one before it, of those it is shown.

    What it is not shown does not count: a clip that goes black and comes back is still the same scene.
    """

    def __init__(self) -> None:
        self._detector = ContentDetector(threshold=CUT_THRESHOLD, min_scene_len=0)
        self._shown = 0

    def begins_with(self, picture: Picture) -> bool:
        """Whether the picture (H, W, 3) is of another scene than the last one."""
        scale = THUMBNAIL_SIDE / max(picture.shape[:2])
        sides = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
        small = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
        moment = FrameTimecode(self._shown, fps=_NOMINAL_FPS)
        self._shown += 1
        return bool(self._detector.process_frame(moment, cv2.cvtColor(small, cv2.COLOR_RGB2BGR)))

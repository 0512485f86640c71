"""Cut detection in a clip, by PySceneDetect."""

from __future__ import annotations

import cv2

from troupe.faces import Picture
from troupe.process.terminal import without_stdin

with without_stdin():  # importing it runs ffmpeg
    from scenedetect import ContentDetector, FrameTimecode

__all__ = ["CutDetector"]

THUMBNAIL_SIDE = 96
"""Longer side in pixels of the thumbnails that are compared: details only add noise."""
CUT_THRESHOLD = 27.0
"""PySceneDetect's default: mean change of hue, saturation and lightness, of 255, from which it is a cut."""
_NOMINAL_FPS = 25.0


class CutDetector:
    """Detects cuts between consecutive pictures of those passed to it.

    Skipped frames do not count: a clip that goes black and comes back is still the same scene.
    """

    def __init__(self) -> None:
        self._detector = ContentDetector(threshold=CUT_THRESHOLD, min_scene_len=0)
        self._shown = 0

    def is_cut(self, picture: Picture) -> bool:
        """Whether the picture (H, W, 3) shows another scene than the previous one."""
        scale = THUMBNAIL_SIDE / max(picture.shape[:2])
        sides = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
        small = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
        moment = FrameTimecode(self._shown, fps=_NOMINAL_FPS)
        self._shown += 1
        return bool(self._detector.process_frame(moment, cv2.cvtColor(small, cv2.COLOR_RGB2BGR)))

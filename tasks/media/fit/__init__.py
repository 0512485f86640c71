"""Fit a picture to a sound of another length: `policy` decides, `extend` adds frames to an encoded picture."""

from tasks.media.fit.extend import EXTENSIONS, Extended, extend_picture
from tasks.media.fit.policy import STRETCH_LIMIT, STRICT_SECONDS, Fit, decide_fit

__all__ = [
    "EXTENSIONS",
    "STRETCH_LIMIT",
    "STRICT_SECONDS",
    "Extended",
    "Fit",
    "decide_fit",
    "extend_picture",
]

"""A small world of drawn people, and a small model of the released architecture.

`portrait`, `clip` and `sound` make media from numbers, with exact boxes and keypoints; `weights.init_weights` writes a
complete weights directory. People and performances of numbers from `MEASURING` on are never to be learned from.
"""

from models.miniature.identity import Identity
from models.miniature.performance import Moment, Performance
from models.miniature.voice import sound
from models.miniature.world import CLIP_SIZE, PORTRAIT_SIZE, clip, locate, portrait, render

__all__ = [
    "CLIP_SIZE",
    "MEASURING",
    "PORTRAIT_SIZE",
    "Identity",
    "Moment",
    "Performance",
    "clip",
    "locate",
    "portrait",
    "render",
    "sound",
]

MEASURING = 1_000_000
"""Seeds from here on are kept for measuring what was learned from the ones below."""

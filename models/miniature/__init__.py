"""A small world of drawn people, and a small model of the released architecture.

`portrait`, `clip` and `sound` make media from numbers, with exact boxes and keypoints; `model.init_weights` writes a
complete weights directory before anything was learned; `SHIPPED` is the learned one. People and performances of numbers
from `MEASURING` on are never to be learned from.
"""

from pathlib import Path

from models.synthetic.performance import Moment, Performance
from models.synthetic.person import Identity
from models.synthetic.voice import sound
from models.synthetic.world import CLIP_SIZE, PORTRAIT_SIZE, clip, locate, portrait, render

__all__ = [
    "CLIP_SIZE",
    "MEASURING",
    "PORTRAIT_SIZE",
    "SHIPPED",
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

SHIPPED = Path(__file__).with_name("weights")
"""The weights directory that comes with troupe; its README.md is the model's card."""

"""The miniature: a small model of the released architecture, for a synthetic world of drawn people.

`draw_portrait`, `draw_clip` and `synthesise_voice` make media from seeds, with exact boxes and keypoints.
`init_weights.init_weights` writes a complete, untrained weights directory; `SHIPPED_WEIGHTS` is the trained one.
People and performances with seeds of `FIRST_HELD_OUT_SEED` or more are held out from training.
"""

from pathlib import Path

from models.synthetic.performance import Moment, Performance
from models.synthetic.person import Identity
from models.synthetic.voice import synthesise_voice
from models.synthetic.world import CLIP_SIZE, PORTRAIT_SIZE, draw_clip, draw_portrait, locate, render

__all__ = [
    "CLIP_SIZE",
    "FIRST_HELD_OUT_SEED",
    "PORTRAIT_SIZE",
    "SHIPPED_WEIGHTS",
    "Identity",
    "Moment",
    "Performance",
    "draw_clip",
    "draw_portrait",
    "locate",
    "render",
    "synthesise_voice",
]

FIRST_HELD_OUT_SEED = 1_000_000
"""First of the seeds that are held out from training, for evaluation."""

SHIPPED_WEIGHTS = Path(__file__).with_name("weights")
"""The weights directory that ships with troupe; its README.md is the model card."""

"""Sampler: from noise to the latents of a clip."""

from models.sampler.sample import (
    Progress,
    Sampled,
    Scene,
    draw_noise,
    evaluations,
    fitting_windows,
    pad_motion,
    sample,
    window_bytes,
)

__all__ = [
    "Progress",
    "Sampled",
    "Scene",
    "draw_noise",
    "evaluations",
    "fitting_windows",
    "pad_motion",
    "sample",
    "window_bytes",
]

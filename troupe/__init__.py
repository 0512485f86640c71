"""troupe: one cast of portraits, many performances.

>>> import troupe
>>> troupe.animate("ada.jpg", "clip.mp4", "ada.mp4", weights="weights")

This package holds the values that all packages share: jobs, faces and tracks, sampler settings, errors. What animates
is in `tasks.api`, which is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from troupe.clip_info import ClipInfo
from troupe.faces import LARGEST, Face, FaceChoice, Floats, Picture, Track
from troupe.job import Job
from troupe.sampler_settings import PRESETS, SamplerSettings, preset

if TYPE_CHECKING:
    from tasks.api import Animation, FrameStream, PortraitAnimator, animate, stream
else:

    def __getattr__(name: str) -> Any:
        if name in ("Animation", "FrameStream", "PortraitAnimator", "animate", "stream"):
            return getattr(import_module("tasks.api"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "LARGEST",
    "PRESETS",
    "Animation",
    "ClipInfo",
    "Face",
    "FaceChoice",
    "Floats",
    "FrameStream",
    "Job",
    "Picture",
    "PortraitAnimator",
    "SamplerSettings",
    "Track",
    "__version__",
    "animate",
    "preset",
    "stream",
]

"""troupe: one cast of portraits, many performances.

This package holds the values that all packages share: jobs, faces and tracks, sampler settings, errors.
"""

from troupe.clip_info import ClipInfo
from troupe.faces import LARGEST, Face, FaceChoice, Floats, Picture, Track
from troupe.job import Job
from troupe.sampler_settings import PRESETS, SamplerSettings, preset

__version__ = "0.1.0"

__all__ = [
    "LARGEST",
    "PRESETS",
    "ClipInfo",
    "Face",
    "FaceChoice",
    "Floats",
    "Job",
    "Picture",
    "SamplerSettings",
    "Track",
    "__version__",
    "preset",
]

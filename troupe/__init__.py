"""troupe: one cast of portraits, many performances.

This package holds the words the rooms share: errors, jobs, faces and tracks, settings.
"""

from troupe.clips import ClipInfo
from troupe.faces import LARGEST, Face, FaceChoice, Floats, Picture, Track
from troupe.jobs import Job
from troupe.settings import PRESETS, Settings, preset

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
    "Settings",
    "Track",
    "__version__",
    "preset",
]

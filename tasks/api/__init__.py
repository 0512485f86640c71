"""The Python interface of single renders: `troupe.animate`, `troupe.stream` and `troupe.PortraitAnimator`.

They do what a run does for one job, by the same steps, in this process. Importing this package does not import torch;
a wrong call is refused before that.
"""

from tasks.api.animation import Animation, FrameStream
from tasks.api.animator import PortraitAnimator, animate, stream
from tasks.api.options import JobOptions

__all__ = ["Animation", "FrameStream", "JobOptions", "PortraitAnimator", "animate", "stream"]

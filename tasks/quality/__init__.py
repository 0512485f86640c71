"""How good a render is: cheap measures of every one, and all that the field uses for an evaluation."""

from tasks.quality.meter import QualityMeter
from tasks.quality.thresholds import Thresholds

__all__ = ["QualityMeter", "Thresholds"]

"""Quality of a render: measures taken during rendering, and the thresholds they are checked against."""

from tasks.quality.meter import QualityMeter
from tasks.quality.thresholds import Thresholds

__all__ = ["QualityMeter", "Thresholds"]

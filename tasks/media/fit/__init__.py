"""Fit a picture to a sound of another length."""

from tasks.media.fit.policy import STRETCH_LIMIT, STRICT_SECONDS, Fit, decide_fit

__all__ = ["STRETCH_LIMIT", "STRICT_SECONDS", "Fit", "decide_fit"]

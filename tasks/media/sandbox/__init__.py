"""Read files in child processes with limits on memory and time."""

from __future__ import annotations

from tasks.media.sandbox.sandbox import Sandbox

__all__ = ["Sandbox"]

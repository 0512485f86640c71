"""The demo's portraits and clips as a request of every portrait with every clip, for the cost of a run's parts."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from models.miniature import SHIPPED_WEIGHTS
from tasks.demo import prepare_demo
from tasks.run.request import Request

__all__ = ["demo_request"]


def demo_request(folder: Path, args: Namespace, preset: str, **options: Any) -> Request:
    """Draw the demo's inputs in a folder, and return the request of their jobs, with the store in that folder.

    Args:
        args: `jobs`, the number of jobs, and `preview`, seconds of every clip; None for all.
        preset: preset of all jobs.
        options: other values of the request.
    """
    portraits, drivings = prepare_demo(folder)
    return Request(
        store=str(folder / "store"),
        weights=str(SHIPPED_WEIGHTS),
        portraits=str(portraits),
        drivings=str(drivings),
        defaults={"preset": preset},
        limit=args.jobs,
        preview=args.preview,
        **options,
    )

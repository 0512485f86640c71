"""The flow that keeps a store in order, to be scheduled beside the main one."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

# As for the main flow: before prefect is imported.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from catalogs.retention.evict import maintain

__all__ = ["maintenance"]


@flow(name="maintenance", description="Caches within bounds, orphans removed.", persist_result=False)
def maintenance(
    store: str, max_age_days: float | None = 90, max_gigabytes: float | None = None, dry_run: bool = False
) -> dict[str, Any]:
    """Evict what a store's caches hold too long or too much of, and remove what was never finished.

    Args:
        store: folder or bucket URL.
        max_age_days: of a cached file, since it was put; empty keeps them for ever.
        max_gigabytes: of all cached files, the oldest go first; empty sets no limit.
        dry_run: only say what would be done.
    """
    done = maintain(store, max_age_days=max_age_days, max_gigabytes=max_gigabytes, dry_run=dry_run)
    create_markdown_artifact(
        f"`{store}`: {'would be: ' if dry_run else ''}{done.line()}", key="troupe-maintenance", description=store
    )
    return asdict(done)

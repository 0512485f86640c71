"""The flow that keeps a store in order, scheduled beside the main one."""

from __future__ import annotations

import flows.server.prefect_env  # noqa: F401  # isort: skip

from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from catalogs.retention.evict import maintain
from flows.parameters import Number

__all__ = ["maintenance"]


@flow(name="maintenance", description="Caches within limits, orphans removed.", persist_result=False)
def maintenance(
    store: str, max_age_days: Number | None = 90, max_gigabytes: Number | None = None, dry_run: bool = False
) -> dict[str, Any]:
    """Evict cached files that are too old or too many, and remove what was never finished.

    Args:
        store: folder or bucket URL.
        max_age_days: days since a cached file was put after which it is evicted; no limit if empty.
        max_gigabytes: size of all cached files above which the oldest are evicted; no limit if empty.
        dry_run: whether only to report what would be done.
    """
    done = maintain(store, max_age_days=max_age_days, max_gigabytes=max_gigabytes, dry_run=dry_run)
    create_markdown_artifact(
        f"`{store}`: {'would be: ' if dry_run else ''}{done.line()}", key="troupe-maintenance", description=store
    )
    return asdict(done)

"""What the pages of the review application share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from catalogs.query.catalog import Catalog
from catalogs.query.job_index import JobIndex
from catalogs.query.listing import COLUMNS
from catalogs.review.decisions import Decisions
from catalogs.store.store import Store
from flows.review.calls import BoundedCalls
from flows.review.claiming import SessionClaims
from flows.review.media import MediaSigner
from flows.review.security import Secrets
from troupe.errors import TroupeError

__all__ = ["ReviewContext"]


@dataclass(frozen=True)
class ReviewContext:
    """What the pages of the review application share.

    Attributes:
        store, catalog, decisions: what is reviewed, and where decisions are written.
        secrets: token of the URL, and the keys of sessions, forms and media paths.
        filters: filters of the command line, as `catalogs.query.filters.CatalogQuery` takes them; pages add theirs.
        reviewer: name of reviewers who have not set theirs on the page.
        claims: gives reviewers different items; None if they may get the same.
        media: makes signed paths for files that rows name.
        calls: makes blocking calls; pages read the store through nothing else.
        index: columns of the jobs in memory, for `catalogs.query.listing`.
    """

    store: Store
    catalog: Catalog
    decisions: Decisions
    secrets: Secrets
    media: MediaSigner
    filters: Mapping[str, Any] = field(default_factory=dict)
    reviewer: str = ""
    claims: SessionClaims | None = None
    calls: BoundedCalls = field(default_factory=BoundedCalls)
    index: JobIndex = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", JobIndex(self.store))

    def read_ahead(self) -> None:
        """Read on other threads what the first page needs, while somebody opens the address."""
        for read in (lambda: self.index.jobs(COLUMNS), self.decisions.decided):
            threading.Thread(target=_without_errors, args=(read,), name="read-ahead", daemon=True).start()


def _without_errors(read: Callable[[], object]) -> None:
    with suppress(TroupeError):  # the page reads again, and reports them
        read()

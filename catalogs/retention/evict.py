"""Keeping a store in order: caches within bounds, nothing half published left behind."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from catalogs.store.listing import Entry
from catalogs.store.store import open_store
from catalogs.table.runs import list_runs
from troupe.errors import SettingsError, StoreError
from troupe.files import is_part

__all__ = ["Upkeep", "maintain"]

CACHES = ("cache/appearance", "cache/motion", "cache/tracks")
"""What can be made again from its inputs; hashes and lengths are small, and stay."""
ORPHAN = timedelta(days=1)
"""A render, or a file, that is not finished for so long is not being made any more."""
_THREADS = 16


@dataclass(frozen=True)
class Upkeep:
    """What maintenance did, or would do.

    Attributes:
        evicted, evicted_bytes: cached files that were too old or too many.
        orphans, orphan_bytes: files of renders that never came to exist, and half-written ones.
        uploads: in parts, that were never finished; how much room they take no store says.
        cached_bytes: that the caches hold afterwards.
        skipped: what was left alone, and why; empty if nothing was.
    """

    evicted: int
    evicted_bytes: int
    orphans: int
    orphan_bytes: int
    uploads: int
    cached_bytes: int
    skipped: str = ""

    def line(self) -> str:
        """All of it in a line."""
        return (
            f"{self.evicted} cached files evicted ({self.evicted_bytes / 1e9:.2f} GB), {self.orphans} orphans removed "
            f"({self.orphan_bytes / 1e9:.2f} GB), {self.uploads} unfinished uploads aborted, "
            f"{self.cached_bytes / 1e9:.2f} GB cached" + (f"; {self.skipped}" if self.skipped else "")
        )


def maintain(
    store: str, *, max_age_days: float | None = None, max_gigabytes: float | None = None, dry_run: bool = False
) -> Upkeep:
    """Evict what the caches hold too long or too much of, the oldest first, and remove orphans.

    Renders, rows and manifests are never touched. While a run is live, caches are left alone: it may be about to read
    what it found there.

    Args:
        store: its URL.
        max_age_days: of a cached file, since it was put; None keeps them.
        max_gigabytes: of all cached files; None sets no limit.
        dry_run: only say what would be done.

    Raises:
        SettingsError: a bound is negative.
        StoreError: the store cannot be listed, or something not removed.
    """
    if (max_age_days or 0) < 0 or (max_gigabytes or 0) < 0:
        raise SettingsError("the bounds of age and size cannot be negative")
    place, now = open_store(store), datetime.now(UTC)
    cached = [entry for folder in CACHES for entry in place.entries(folder) if not _half(entry)]
    live = [run.run_id for run in list_runs(place) if run.live]
    evicted = [] if live else _too_much(cached, now, max_age_days, max_gigabytes)
    orphans = _orphans(place.entries("renders"), now)
    orphans += [entry for entry in place.entries("cache") if _half(entry) and _older(entry, now, ORPHAN)]
    skipped = [f"caches left alone while {', '.join(live)} runs"] if live else []
    try:
        uploads = [upload for upload in place.uploads() if now - upload.started > ORPHAN]
    except StoreError as error:  # not every key may list them, and not everything that speaks S3 can
        uploads, skipped = [], [*skipped, error.message]
    if not dry_run:
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda entry: place.delete(entry.key), [*evicted, *orphans]))
            list(threads.map(place.abort, uploads))
    freed = sum(entry.bytes for entry in evicted)
    return Upkeep(
        evicted=len(evicted),
        evicted_bytes=freed,
        orphans=len(orphans),
        orphan_bytes=sum(entry.bytes for entry in orphans),
        uploads=len(uploads),
        cached_bytes=sum(entry.bytes for entry in cached) - freed,
        skipped="; ".join(skipped),
    )


def _too_much(cached: Sequence[Entry], now: datetime, days: float | None, gigabytes: float | None) -> list[Entry]:
    oldest_first = sorted(cached, key=lambda entry: entry.modified or now)
    left = sum(entry.bytes for entry in cached)
    evicted = []
    for entry in oldest_first:
        too_old = days is not None and _older(entry, now, timedelta(days=days))
        too_much = gigabytes is not None and left > gigabytes * 1e9
        if too_old or too_much:
            evicted.append(entry)
            left -= entry.bytes
    return evicted


def _orphans(files: Sequence[Entry], now: datetime) -> list[Entry]:
    """Of renders without a record, everything, once all of it is old; of others, what is half written."""
    renders: dict[str, list[Entry]] = {}
    for entry in files:
        renders.setdefault(entry.key.split("/")[1], []).append(entry)
    found = []
    for key, entries in renders.items():
        finished = any(entry.key == f"renders/{key}/render.json" for entry in entries)
        loose = [entry for entry in entries if not finished or _half(entry)]
        if all(_older(entry, now, ORPHAN) for entry in loose):
            found += loose
    return found


def _half(entry: Entry) -> bool:
    return is_part(entry.key.rpartition("/")[2])


def _older(entry: Entry, now: datetime, age: timedelta) -> bool:
    return entry.modified is not None and now - entry.modified > age

"""Evict cached files that are too old or too many, and delete what interrupted runs left behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from catalogs.store.digests import digest_key
from catalogs.store.listing import Entry
from catalogs.store.renders import PICTURES, discard_render, record_key
from catalogs.store.store import open_store
from catalogs.table.runs import live_runs
from troupe.errors import SettingsError, StoreError
from troupe.files import is_part

__all__ = ["MaintenanceReport", "maintain"]

CACHES = ("cache/appearance", "cache/motion", "cache/tracks")
"""Folders of files that can be computed again from their inputs; hashes and lengths are small, and stay."""
ORPHAN = timedelta(days=1)
"""Age at which an unfinished render or file counts as abandoned."""
_THREADS = 16


@dataclass(frozen=True)
class MaintenanceReport:
    """What maintenance did, or would do in a dry run.

    Attributes:
        evicted, evicted_bytes: number and size of evicted cached files.
        orphans, orphan_bytes: number and size of files of unfinished renders, and of half-written files.
        uploads: number of aborted multipart uploads; no store reports their size.
        cached_bytes: size of the caches afterwards.
        skipped: what was skipped and why; empty if nothing was.
    """

    evicted: int
    evicted_bytes: int
    orphans: int
    orphan_bytes: int
    uploads: int
    cached_bytes: int
    skipped: str = ""

    def line(self) -> str:
        """Return a summary in one line."""
        return (
            f"{self.evicted} cached files evicted ({self.evicted_bytes / 1e9:.2f} GB), {self.orphans} orphans removed "
            f"({self.orphan_bytes / 1e9:.2f} GB), {self.uploads} unfinished uploads aborted, "
            f"{self.cached_bytes / 1e9:.2f} GB cached" + (f"; {self.skipped}" if self.skipped else "")
        )


def maintain(
    store: str, *, max_age_days: float | None = None, max_gigabytes: float | None = None, dry_run: bool = False
) -> MaintenanceReport:
    """Evict cached files beyond a maximum age or total size, the oldest first, and delete orphans.

    Renders, rows and manifests are never touched. While a run is live, caches are skipped: it may be about to read
    what it found there.

    Args:
        store: URL of the store.
        max_age_days: maximum age of a cached file in days; None sets no limit.
        max_gigabytes: maximum size of all cached files; None sets no limit.
        dry_run: whether to report only.

    Raises:
        SettingsError: a limit is negative.
        StoreError: the store cannot be listed, or a file cannot be deleted.
    """
    if (max_age_days or 0) < 0 or (max_gigabytes or 0) < 0:
        raise SettingsError("maximum age and size cannot be negative")
    place, now = open_store(store), datetime.now(UTC)
    files = [entry for folder in CACHES for entry in place.entries(folder) if not _is_part(entry)]
    in_pictures = place.entries(PICTURES)
    cached = [entry for entry in files if entry.key != digest_key(entry.key)] + _pictures(in_pictures)
    live = [run.run_id for run in live_runs(place, doubtful=True)]
    evicted = [] if live else _beyond_limits(cached, now, max_age_days, max_gigabytes)
    orphans = _orphans([*place.entries("renders"), *in_pictures], now)
    others = [entry for entry in place.entries("cache") if not entry.key.startswith(PICTURES)]
    orphans += [entry for entry in others if _is_part(entry) and _is_older(entry, now, ORPHAN)]
    skipped = [f"caches skipped while {', '.join(live)} runs"] if live else []
    try:
        uploads = [upload for upload in place.uploads() if now - upload.started > ORPHAN]
    except StoreError as error:  # not every access key may list them, and not every S3 server can
        uploads, skipped = [], [*skipped, error.message]
    pictures = {entry.key for entry in evicted if entry.key.startswith(PICTURES)}
    digests = {digest_key(entry.key) for entry in evicted} - pictures
    if not dry_run:
        for folder in pictures:
            discard_render(place, folder)
        with ThreadPoolExecutor(_THREADS) as threads:
            alone = [entry.key for entry in (*evicted, *orphans) if entry.key not in pictures]
            list(threads.map(place.delete, [*alone, *digests]))
            list(threads.map(place.abort, uploads))
    freed = sum(entry.bytes for entry in evicted)
    return MaintenanceReport(
        evicted=len(evicted),
        evicted_bytes=freed,
        orphans=len(orphans),
        orphan_bytes=sum(entry.bytes for entry in orphans),
        uploads=len(uploads),
        cached_bytes=sum(entry.bytes for entry in cached) - freed,
        skipped="; ".join(skipped),
    )


def _beyond_limits(cached: Sequence[Entry], now: datetime, days: float | None, gigabytes: float | None) -> list[Entry]:
    oldest_first = sorted(cached, key=lambda entry: entry.modified or now)
    remaining = sum(entry.bytes for entry in cached)
    evicted = []
    for entry in oldest_first:
        too_old = days is not None and _is_older(entry, now, timedelta(days=days))
        too_much = gigabytes is not None and remaining > gigabytes * 1e9
        if too_old or too_much:
            evicted.append(entry)
            remaining -= entry.bytes
    return evicted


def _pictures(files: Sequence[Entry]) -> list[Entry]:
    """Return each finished picture as an entry: its folder, the time of its record and the size of all its files."""
    sizes: Counter[str] = Counter()
    finished = {}
    for entry in files:
        folder = entry.key.rpartition("/")[0]
        sizes[folder] += entry.bytes
        if entry.key == record_key(folder):
            finished[folder] = entry
    return [replace(record, key=folder, bytes=sizes[folder]) for folder, record in finished.items()]


def _orphans(files: Sequence[Entry], now: datetime) -> list[Entry]:
    """Return the files of unfinished renders, once all of them are old, and old half-written files of finished ones."""
    renders: dict[str, list[Entry]] = {}
    for entry in files:
        renders.setdefault(entry.key.rpartition("/")[0], []).append(entry)
    found = []
    for folder, entries in renders.items():
        finished = any(entry.key == record_key(folder) for entry in entries)
        loose = [entry for entry in entries if not finished or _is_part(entry)]
        if all(_is_older(entry, now, ORPHAN) for entry in loose):
            found += loose
    return found


def _is_part(entry: Entry) -> bool:
    return is_part(entry.key.rpartition("/")[2])


def _is_older(entry: Entry, now: datetime, age: timedelta) -> bool:
    return entry.modified is not None and now - entry.modified > age

"""Records of exports: which videos were handed over, where to, and when. One Parquet file per export."""

from __future__ import annotations

import io
import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from catalogs.store.error_text import reason
from catalogs.store.store import Store
from catalogs.table.audit import append_audit
from troupe.errors import StoreError

__all__ = ["EXPORTS", "EXPORTS_FOLDER", "read_export", "read_exports", "record_export"]

EXPORTS_FOLDER = "exports"
_TEXT = pa.string()
_TYPES: dict[str, Any] = {
    "exported_at": pa.timestamp("us", "UTC"),
    "target": _TEXT,  # URL of the folder or bucket
    "file": _TEXT,  # relative to the target
    "poster_file": _TEXT,
    "run_id": _TEXT,  # with job_id: the row of the job
    "job_id": _TEXT,
    "render_key": _TEXT,  # equal for jobs with the same video
    "subtitles_vtt_file": _TEXT,
    "subtitles_srt_file": _TEXT,
    "package": _TEXT,  # kind of package that the file is, with films of other jobs; null for a single video
    "master_file": _TEXT,
    "master_c2pa_file": _TEXT,
    "review": _TEXT,  # state of the film in review when it was exported
    "reviewer": _TEXT,  # who decided
}
EXPORTS = pa.schema(_TYPES)


def record_export(store: Store, target: str, rows: Sequence[dict[str, Any]]) -> None:
    """Record the export of videos, also in the audit log.

    Args:
        rows: rows with the columns of `EXPORTS` but the first two, and with `identity` for the audit log.

    Raises:
        StoreError: the store cannot be written.
    """
    now = datetime.now(UTC)
    named = [{name: row.get(name) for name in EXPORTS.names} | {"exported_at": now, "target": target} for row in rows]
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(named, EXPORTS), sink, write_page_checksum=True)
    key = f"{EXPORTS_FOLDER}/{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}.parquet"
    put = store.put_bytes(sink.getvalue(), key)
    reviews = dict(Counter(row["review"] or "none" for row in named))
    facts = {"target": target, "files": len(named), "reviews": reviews, "record": key, "record_sha256": put.sha256}
    packages = len({row["file"] for row in named if row["package"]})
    append_audit(
        store,
        "export",
        facts | ({"packages": packages} if packages else {}),
        [row.get("identity") or "" for row in rows],
    )


def read_exports(store: Store) -> pa.Table:
    """Return all exports of the store's videos, a row per video and target.

    Raises:
        StoreError: they cannot be read.
    """
    tables = [EXPORTS.empty_table(), *(read_export(store, key) for key in store.list(EXPORTS_FOLDER))]
    return pa.concat_tables(tables, promote_options="default")


def read_export(store: Store, key: str) -> pa.Table:
    """Return the record of one export.

    Raises:
        StoreError: it cannot be read, or is damaged.
    """
    try:
        return pq.read_table(io.BytesIO(store.read(key)), page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{store.uri(key)} is damaged: {reason(error)}; remove it") from error

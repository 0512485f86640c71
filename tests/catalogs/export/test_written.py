"""catalogs.export.written: exports that fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalogs.export.deliver import deliver
from catalogs.query.jobs import list_jobs
from catalogs.query.sql import sql
from catalogs.store.store import Store, open_store
from tests.catalogs.export.conftest import files
from troupe.errors import SettingsError, StoreError


def test_what_was_copied_is_recorded_where_an_export_fails(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a video whose subtitles were not copied: the copy shows a person, too."""
    out, put = tmp_path / "out", Store.put
    for key in ("k1", "k2"):
        filled.put_bytes(key.encode(), f"renders/{key}/subtitles.vtt")
    rows = list_jobs(filled).to_pylist()
    for entry in rows:
        if entry["render_key"]:
            entry["subtitles_vtt_uri"] = filled.uri(f"renders/{entry['render_key']}/subtitles.vtt")
    rows = pa.Table.from_pylist(rows)

    def failing(self: Store, local: Path, key: str, sha256: str = "") -> Any:
        if key == "two.vtt":
            raise StoreError("the disk is full")
        return put(self, local, key, sha256)

    monkeypatch.setattr(Store, "put", failing)
    with pytest.raises(StoreError, match="the disk is full"):
        deliver(filled, rows, open_store(str(out)), "{job_id}")
    assert pq.read_table(out / "manifest.parquet").column("file").to_pylist() == ["one.mp4"]
    recorded = sql(filled, "SELECT file FROM exports ORDER BY file").column(0).to_pylist()
    assert recorded == ["one.mp4", "two.mp4"]
    monkeypatch.undo()
    done = deliver(filled, rows, open_store(str(out)), "{job_id}")
    assert (done.copied, done.unchanged) == (0, 2)
    assert pq.read_table(done.manifest).column("file").to_pylist() == ["one.mp4", "two.mp4"]


def test_names_that_others_have_are_refused_before_anything_is_copied(filled: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "two.mp4").write_text("mine")
    with pytest.raises(SettingsError, match="is another file"):
        deliver(filled, list_jobs(filled), open_store(str(out)), "{job_id}")
    assert files(out) == {"two.mp4": "mine"}
    assert len(sql(filled, "FROM exports")) == 0

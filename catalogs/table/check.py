"""The check of a store before a run: files, and rows of the table, can be written and read."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from catalogs.store import uris
from catalogs.store.error_text import advice, reason
from catalogs.store.retry import retry_call
from catalogs.store.store import Store
from catalogs.table.arrow_fs import arrow_filesystem
from troupe.errors import StoreError

__all__ = ["check_store"]

_FOLDER = "catalog"


def check_store(store: Store) -> None:
    """Check up front that files can be written and read, and rows of the table by its own client, in the same place.

    Files go through fsspec, the table through deltalake and Arrow. Each has its own ideas of endpoints, credentials and
    names, and what differs would show only when the first rows are committed.

    Raises:
        StoreError: something cannot be written, read or deleted.
    """
    store.check()
    # In the folder of the table, to which permissions may differ; Delta Lake ignores hidden folders.
    key = f"{_FOLDER}/.check-{uuid4().hex}"
    place = store.delta(key)
    if place is None:
        return
    is_new = not store.url.startswith("/") or not Path(store.uri(_FOLDER)).exists()
    try:
        try:
            retry_call(lambda: _write_and_read(*place))
        except (DeltaError, OSError, pa.ArrowException) as error:
            what = f"cannot write and read a row in {store.uri(_FOLDER)}: {reason(error)}"
            raise StoreError(f"{what}; {_advice(error, store.url)}") from error
        if not any("/_delta_log/" in found for found in store.list(key)):
            raise StoreError(
                f"rows written to {uris.redacted(place[0])} are not in {store.uri(key)}; "
                "use a store whose URL has letters, digits, - and _ only"
            )
    finally:
        _remove(store, key, is_new)


def _write_and_read(uri: str, options: dict[str, str]) -> None:
    row = pa.table({"run_id": pa.array(["check"])})
    write_deltalake(uri, row, mode="overwrite", storage_options=options)
    table = DeltaTable(uri, storage_options=options)
    found = table.to_pyarrow_dataset(filesystem=arrow_filesystem(uri, options)).to_table()
    if found.column("run_id").to_pylist() != ["check"]:
        raise OSError("a row does not read back as written")


def _advice(error: Exception, url: str) -> str:
    if isinstance(error, OSError):
        return advice(error, url)
    return advice(OSError(reason(error)), url)


def _remove(store: Store, key: str, is_new: bool) -> None:
    path = uris.local_path(store.uri(key))
    if path is None:
        for name in store.list(key):
            store.delete(name)
        return
    shutil.rmtree(path, ignore_errors=True)
    if is_new:
        with suppress(OSError):  # another run has begun to fill it
            path.parent.rmdir()

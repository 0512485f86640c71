"""The check of the table before a run: files and table have one endpoint, region and credentials, and one place."""

from __future__ import annotations

import shutil
from pathlib import Path
from uuid import uuid4

import fsspec.config
import pytest

from catalogs.store.store import Store, open_store
from catalogs.table.check import check_store
from tests.catalogs.conftest import record, recorded_jobs, row
from tests.s3 import BUCKET
from troupe.errors import StoreError

VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_REGION")


def profile(folder: Path, monkeypatch: pytest.MonkeyPatch, config: str) -> None:
    """Let clients find everything in the AWS profile `office`, and nothing in variables."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    folder.mkdir()
    (folder / "config").write_text(config)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
    monkeypatch.setenv("AWS_PROFILE", "office")


KEYS = "aws_access_key_id = tester\naws_secret_access_key = not-a-secret\n"


@pytest.mark.parametrize(
    "config",
    [
        "[profile office]\nregion = eu-west-3\nendpoint_url = {endpoint}\n" + KEYS,
        "[profile office]\nregion = eu-west-3\nservices = here\n"
        + KEYS
        + "[services here]\ns3 =\n  endpoint_url = {endpoint}\n",
    ],
)
def test_an_endpoint_in_the_profile(s3: str, config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile(tmp_path / "aws", monkeypatch, config.format(endpoint=s3))
    name = f"profile-{uuid4().hex}"
    store = open_store(f"s3://{BUCKET}/{name}", {"skip_instance_cache": True})
    check_store(store)
    record(store, "r1", [row("r1", "a")])
    assert recorded_jobs(store) == ["a"]
    _, options = store.delta() or ("", {})
    assert (options["AWS_ENDPOINT_URL"], options["AWS_REGION"], options["AWS_ACCESS_KEY_ID"]) == (
        s3,
        "eu-west-3",
        "tester",
    )
    assert any(key.startswith("catalog/_delta_log/") for key in store.list())


def test_an_endpoint_in_the_options_of_fsspec(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`FSSPEC_S3_ENDPOINT_URL` and the files of `~/.config/fsspec` set options, too."""
    profile(tmp_path / "aws", monkeypatch, "[profile office]\n" + KEYS)
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": s3, "skip_instance_cache": True})
    store = open_store(f"s3://{BUCKET}/fsspec-{uuid4().hex}")
    check_store(store)
    assert (store.delta() or ("", {}))[1]["AWS_ENDPOINT_URL"] == s3


FOLDERS = ("a b", "a%20b", "100%", "a?b", "a#b", "a[1]", "Zoë", "a+b", "a&b=c")


@pytest.mark.parametrize(
    ("scheme", "folder"), [*(("s3", folder) for folder in FOLDERS), ("s3a", "a%20b"), ("s3a", "a b"), ("S3", "x")]
)
def test_keys_are_taken_literally(s3: str, scheme: str, folder: str) -> None:
    store = open_store(f"{scheme}://{BUCKET}/{uuid4().hex}/{folder}")
    check_store(store)
    record(store, "r1", [row("r1", "a")])
    assert recorded_jobs(store) == ["a"]
    table = "runs/r1/parts/" if "%2" in folder else "catalog/_delta_log/"  # deltalake cannot read all it writes
    assert any(key.startswith(table) for key in store.list())


def test_nothing_is_left_behind(shared_store: Store) -> None:
    check_store(shared_store)
    assert shared_store.list() == []
    record(shared_store, "r1", [row("r1", "a")])
    before = shared_store.list()
    check_store(shared_store)
    assert shared_store.list() == before


def test_stores_without_a_table(tmp_path: Path) -> None:
    check_store(open_store("memory://check"))
    check_store(open_store(str(tmp_path / "a%20b")))


def test_a_table_that_cannot_be_written_is_refused(folder_store: Store) -> None:
    folder_store.put_bytes(b"a file where the table belongs", "catalog")
    with pytest.raises(StoreError, match=r"cannot write and read a row in .*catalog"):
        check_store(folder_store)
    shutil.rmtree(folder_store.url)

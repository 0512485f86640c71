"""catalogs.store.backends.gcs_azure: options for deltalake, which accepts them; no such store runs here."""

from __future__ import annotations

from typing import Any

import pytest
from deltalake import DeltaTable

from catalogs.store.backends.gcs_azure import SCHEMES, delta_place


@pytest.mark.parametrize(
    ("uri", "options", "place", "expected"),
    [
        ("gs://b/troupe/catalog", {}, "gs://b/troupe/catalog", {}),
        ("gcs://b/catalog", {"token": "/k.json"}, "gs://b/catalog", {"google_service_account": "/k.json"}),
        ("gs://b/catalog", {"token": "cloud", "project": "p"}, "gs://b/catalog", {}),
        (
            "az://box/catalog",
            {"account_name": "me", "account_key": "c2VjcmV0", "anon": False},
            "az://box/catalog",
            {"azure_storage_account_name": "me", "azure_storage_account_key": "c2VjcmV0"},
        ),
        ("abfs://box/catalog", {"sas_token": "?sv=1"}, "az://box/catalog", {"azure_storage_sas_token": "?sv=1"}),
        (
            "abfs://box@me.dfs.core.windows.net/catalog",
            {"client_id": "c"},
            "abfss://box@me.dfs.core.windows.net/catalog",
            {"azure_client_id": "c"},
        ),
    ],
)
def test_places(uri: str, options: dict[str, Any], place: str, expected: dict[str, str]) -> None:
    scheme = uri.split("://")[0]
    assert scheme in SCHEMES
    found, storage_options = delta_place(scheme, uri, options)
    assert found == place
    assert {name: value for name, value in storage_options.items() if name.startswith(("google", "azure"))} == expected


@pytest.mark.parametrize("uri", ["gs://b/catalog", "az://box/catalog", "abfss://box@me.dfs.core.windows.net/catalog"])
def test_deltalake_supports_them(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets as far as requesting the table from an address that does not respond."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "me")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
    _, storage_options = delta_place(uri.split("://")[0], uri, {})
    unreachable = {"proxy_url": "http://127.0.0.1:9", "max_retries": "0", "google_skip_signature": "true"}
    with pytest.raises(Exception, match=r"(?i)error sending request|connect|transport|127\.0\.0\.1"):
        DeltaTable(uri, storage_options=storage_options | unreachable)

"""Storage options of deltalake for Google Cloud Storage and Azure, translated from those of fsspec.

deltalake finds credentials that are not given as options in the environment: GOOGLE_SERVICE_ACCOUNT or
GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN or
AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["SCHEMES", "delta_place"]

SCHEMES = ("gs", "gcs", "az", "abfs", "abfss", "adl")

_GOOGLE = {"token": "google_service_account"}
_AZURE = {
    "account_name": "azure_storage_account_name",
    "account_key": "azure_storage_account_key",
    "sas_token": "azure_storage_sas_token",
    "client_id": "azure_client_id",
    "client_secret": "azure_client_secret",
    "tenant_id": "azure_tenant_id",
}
_TIMEOUTS = {"max_retries": "3", "retry_timeout": "30s", "timeout": "60s", "connect_timeout": "10s"}


def delta_place(scheme: str, uri: str, options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return URI and storage options for deltalake.

    Args:
        scheme: scheme of `uri`, one of SCHEMES.
        uri: URI as fsspec spells it.
        options: arguments of the fsspec file system.
    """
    path = uri.split("://", 1)[1]
    if scheme in ("gs", "gcs"):
        # gcsfs accepts a file of credentials as `token`, but also words such as `cloud`, and dictionaries.
        given = {name: value for name, value in options.items() if str(value).endswith(".json")}
        return f"gs://{path}", _translated(given, _GOOGLE)
    # deltalake reads `container@account.host/key` only under abfss://; a bare container is the same under all schemes.
    return f"abfss://{path}" if "@" in path.split("/")[0] else f"az://{path}", _translated(options, _AZURE)


def _translated(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    return {names[name]: str(value) for name, value in options.items() if name in names and value} | _TIMEOUTS

"""What deltalake is told of Google's and Microsoft's stores: what fsspec was told, in its words.

Credentials that are not given as options it finds by itself, in the environment: GOOGLE_SERVICE_ACCOUNT or
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
_PATIENCE = {"max_retries": "3", "retry_timeout": "30s", "timeout": "60s", "connect_timeout": "10s"}


def delta_place(scheme: str, uri: str, options: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """URI and storage options for deltalake.

    Args:
        scheme: of `uri`, one of SCHEMES.
        uri: as fsspec has it.
        options: of fsspec's file system.
    """
    path = uri.split("://", 1)[1]
    if scheme in ("gs", "gcs"):
        # gcsfs takes a file of credentials as `token`, but also words such as `cloud`, and dictionaries.
        given = {name: value for name, value in options.items() if str(value).endswith(".json")}
        return f"gs://{path}", _renamed(given, _GOOGLE)
    # `container@account.host/key` has to say that it does; a bare container is the same for all.
    return f"abfss://{path}" if "@" in path.split("/")[0] else f"az://{path}", _renamed(options, _AZURE)


def _renamed(options: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    return {names[name]: str(value) for name, value in options.items() if name in names and value} | _PATIENCE

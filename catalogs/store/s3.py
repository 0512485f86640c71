"""Options of the S3 clients: s3fs for files, deltalake for the catalog. Credentials come from the environment.

Also multipart uploads, which only S3 has: they remain when the process that started them is killed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from catalogs.store.listing import Upload

__all__ = ["SCHEMES", "abort", "delta_options", "fsspec_options", "uploads"]

SCHEMES = ("s3", "s3a")
_RETRIES = {"mode": "standard", "total_max_attempts": 3}


def fsspec_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options for s3fs: those given, and time-outs that report a failure within seconds."""
    client = dict(options.get("client_kwargs") or {})
    # botocore reads only AWS_DEFAULT_REGION, other tools read both.
    if "region_name" not in client and os.environ.get("AWS_REGION"):
        client["region_name"] = os.environ["AWS_REGION"]
    config = {
        "connect_timeout": 10,
        "read_timeout": 60,
        "max_pool_connections": 32,
        "retries": _RETRIES,
        **(options.get("config_kwargs") or {}),
    }
    # s3fs would find the endpoint by itself, but reuses a client for equal options even if the environment changed.
    options = {"endpoint_url": _endpoint(options), **options}
    return {"use_listings_cache": False, **options, "client_kwargs": client, "config_kwargs": config}


def delta_options(options: Mapping[str, Any]) -> dict[str, str]:
    """Return deltalake's storage options for those of s3fs; it finds missing ones in the environment by itself."""
    client = options.get("client_kwargs") or {}
    given = {
        "AWS_ACCESS_KEY_ID": options.get("key"),
        "AWS_SECRET_ACCESS_KEY": options.get("secret"),
        "AWS_SESSION_TOKEN": options.get("token"),
        "AWS_SKIP_SIGNATURE": "true" if options.get("anon") else None,
    }
    endpoint = _endpoint(options)
    region = (
        client.get("region_name")
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
        or ("us-east-1" if endpoint else None)
    )
    given |= {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": region}
    return {name: str(value) for name, value in given.items() if value} | {
        "AWS_ALLOW_HTTP": "true" if str(endpoint).startswith("http://") else "false",
        # A commit is a put that fails if the version exists, so that no lock service is needed.
        "AWS_CONDITIONAL_PUT": "etag",
        "max_retries": "3",
        "retry_timeout": "30s",
        "timeout": "60s",
        "connect_timeout": "10s",
    }


def uploads(files: Any, root: str) -> list[Upload]:
    """List the multipart uploads below `root` that were neither completed nor aborted.

    Args:
        files: an s3fs file system.
        root: `bucket/folder`.
    """
    bucket, _, folder = root.partition("/")
    prefix = f"{folder.rstrip('/')}/" if folder else ""
    found: list[Upload] = []
    after: dict[str, str] = {}
    while True:
        page = files.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **after)
        found += [
            Upload(each["Key"].removeprefix(prefix), each["UploadId"], each["Initiated"].astimezone(UTC))
            for each in page.get("Uploads") or ()
        ]
        if not page.get("IsTruncated"):
            return found
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def abort(files: Any, path: str, upload: Upload) -> None:
    """Abort the multipart upload of the file at `path` (`bucket/key`), and free the space that its parts take up."""
    bucket, _, key = path.partition("/")
    files.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload.id)


def _endpoint(options: Mapping[str, Any]) -> str | None:
    return (
        options.get("endpoint_url")
        or (options.get("client_kwargs") or {}).get("endpoint_url")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
    )

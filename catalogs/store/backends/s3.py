"""Options of the S3 clients: s3fs for files, deltalake for the catalog. Credentials come from the environment.

Also multipart uploads, which only S3 has: they remain when the process that started them is killed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from fsspec.asyn import sync  # type: ignore[import-untyped]

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
    if (endpoint := _endpoint(options)) is not None:
        options = {"endpoint_url": endpoint, **options}
    return {"use_listings_cache": False, **options, "client_kwargs": client, "config_kwargs": config}


def delta_options(files: Any) -> dict[str, str]:
    """Return deltalake's storage options that make it use what an s3fs file system uses.

    botocore finds endpoint, region and credentials in options, variables, profiles and roles; deltalake knows fewer of
    these places, and would look in others. So the client that reads files is asked what it found.

    Args:
        files: an s3fs file system, connected.
    """
    client = files.s3
    endpoint, region = str(client.meta.endpoint_url), client.meta.region_name
    given = {
        "AWS_ENDPOINT_URL": endpoint,
        # botocore's name for no region at all, which no request can be signed for.
        "AWS_REGION": "us-east-1" if region in (None, "aws-global") else region,
        **_credentials(files),
    }
    return {name: str(value) for name, value in given.items() if value} | {
        "AWS_ALLOW_HTTP": "true" if endpoint.startswith("http://") else "false",
        # A commit is a put that fails if the version exists, so that no lock service is needed.
        "AWS_CONDITIONAL_PUT": "etag",
        "max_retries": "3",
        "retry_timeout": "30s",
        "timeout": "60s",
        "connect_timeout": "10s",
    }


def _credentials(files: Any) -> dict[str, str | None]:
    """Return the credentials of an s3fs file system; those of a role are valid for some minutes at least."""
    if files.anon:
        return {"AWS_SKIP_SIGNATURE": "true"}
    client = files.client_kwargs
    key, secret, token = (
        getattr(files, name) or client.get(argument)
        for name, argument in (
            ("key", "aws_access_key_id"),
            ("secret", "aws_secret_access_key"),
            ("token", "aws_session_token"),
        )
    )
    if not key:
        found = sync(files.loop, _frozen_credentials, files.session)
        key, secret, token = (found.access_key, found.secret_key, found.token) if found else (None, None, None)
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


async def _frozen_credentials(session: Any) -> Any:
    credentials = await session.get_credentials()
    return None if credentials is None else await credentials.get_frozen_credentials()


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

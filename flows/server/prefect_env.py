"""Prefect's settings for all flows of troupe. To be imported before `prefect`, which reads them when it is imported."""

from __future__ import annotations

import os

from flows.server.proxy import bypass_proxies_on_loopback
from troupe.errors import SettingsError

bypass_proxies_on_loopback()
# Reporting its usage, Prefect would log `database is locked` when it first starts.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
# Its notice of that, on a first start, is for who wants it.
os.environ.setdefault("DO_NOT_TRACK", "1")
# Prefect logs every state of every run: that is for its own pages, the terminal has troupe's progress.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

try:
    import prefect.context  # noqa: F401 (reads all settings)
except ValueError as error:  # pydantic's, for a value that is invalid
    raise SettingsError(
        f"invalid settings of Prefect: {'; '.join(line.strip() for line in str(error).splitlines()[1:3])}; they are in "
        "the environment (PREFECT_...), in .env, prefect.toml or pyproject.toml of this folder, or in Prefect's profile"
    ) from error

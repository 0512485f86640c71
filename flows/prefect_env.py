"""Prefect's settings for all flows of troupe. To be imported before `prefect`, which reads them when it is imported."""

from __future__ import annotations

import os

# Reporting its usage, Prefect would log `database is locked` when it first starts.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
# Prefect logs every state of every run: that is for its own pages, the terminal has troupe's progress.
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")

"""The report's page: template, style and script in one self-contained HTML file."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from catalogs.report.facts import collect_facts
from catalogs.store.keys import run_key
from catalogs.store.store import Store
from catalogs.store.uris import redacted
from catalogs.table.manifest import manifest_rows
from catalogs.table.runs import read_run
from catalogs.table.schema import QUALITIES, STATUSES
from troupe.errors import SettingsError

__all__ = ["render_page", "write_report"]

MAX_CARDS = 2000
"""Cards per page, which a browser loads within seconds."""


def write_report(store: Store, run_id: str) -> str:
    """Write `runs/<run_id>/report/index.html` from the run's manifest, and return its key.

    Raises:
        SettingsError: the run_id is invalid.
        StoreError: the manifest does not exist, or the page cannot be written.
    """
    key = run_key(run_id, "report/index.html")
    page = render_page(store.url, run_id, manifest_rows(store, run_id), _detector(store, run_id))
    store.replace(page.encode(), key)
    return key


def render_page(store: str, run_id: str, rows: Iterable[Mapping[str, Any]], detector: str = "") -> str:
    """Return the page as HTML.

    Args:
        store: URL of the store, for the commands that the page suggests.
        run_id: id of the run.
        rows: rows of the manifest, one per job.
        detector: URI of the face detector; empty if it is not known.
    """
    folder = files("catalogs.report")
    style, player, page = ((folder / name).read_text() for name in ("page.css", "player.js", "page.js"))
    script = f"{player}\n{page}"
    # The template escapes all values; should it miss one, this policy keeps scripts in it from running.
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src 'self' file: data:; media-src 'self' file:; "
        f"style-src {_csp_source(style)}; script-src {_csp_source(script)}"
    )
    templates = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    templates.filters["duration"] = _duration
    return templates.from_string((folder / "page.html").read_text()).render(
        facts=collect_facts(run_id, rows, MAX_CARDS),
        style=Markup(style),
        script=Markup(script),
        policy=policy,
        detector=detector,
        statuses=STATUSES,
        qualities=QUALITIES,
        retry=f"troupe retry {shlex.quote(run_id)} --store {shlex.quote(store)}",
        ls=f"troupe catalog ls --run {shlex.quote(run_id)} --store {shlex.quote(store)}",
    )


def _detector(store: Store, run_id: str) -> str:
    """Return the detector that the run's record names."""
    try:
        record = read_run(store, run_id)
    except SettingsError:  # a manifest of an early version has no record beside it
        return ""
    return redacted(str(record.request.get("detector") or "")) or "of the weights"


def _csp_source(text: str) -> str:
    """Return the Content-Security-Policy source of an inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _duration(seconds: float) -> str:
    """Format a duration: `12.3 s`, `4 min 5 s`, `3 h 20 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"

"""`troupe review`: look at renders in the browser, and decide."""

from __future__ import annotations

import getpass
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.console import stderr
from flows.cli.options import DEFAULT_STORE, StoreOption, with_filters
from troupe.errors import SettingsError

__all__ = ["review"]

MIN_TOKEN = 24
"""Fewest characters of a token that is read from a file."""


@with_filters
def review(
    filters: dict[str, Any],
    of_run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run_id or `latest`.", show_default="all")
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Your name, kept with decisions.", show_default="the user's")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on; other than loopback with --token-file.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on.", show_default="one that is free")
    ] = 0,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"File with the token that the address carries, at least {MIN_TOKEN} characters."),
    ] = None,
    claim: Annotated[
        bool, typer.Option("--claim", help="Give reviewers who work at once different items, also on other machines.")
    ] = False,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Show portraits and driving clips of this folder; without it, only thumbnails in the store. "
            "May be repeated.",
        ),
    ] = None,
) -> None:
    """Look at renders in the browser, and approve, reject or comment on them.

    The page is for you only: it listens on this machine, and its address carries a token. Keys do everything: `a`
    approves, `r` rejects with a reason, `c` comments at the time shown, `u` undoes, `j` and `k` go on and back; `?`
    lists all of them. Ctrl-C ends it. docs/review.md has more.

    Examples:

    - `troupe review --open`
    - `troupe review latest --store s3://bucket/troupe --inputs clips`
    - `troupe review --since 7d --max identity=0.5 --reviewer ada`
    - `ssh -L 8700:localhost:8700 host troupe review --port 8700`
    """
    from catalogs.query.catalog import Catalog
    from catalogs.query.jobs import latest_run, list_jobs
    from catalogs.review.decisions import Decisions
    from catalogs.store.existing import open_existing
    from catalogs.table.runs import read_run
    from flows.observe.prefect_events import load_client
    from flows.review import ReviewContext, make_app
    from flows.review.claiming import SessionClaims
    from flows.review.media import MediaSigner
    from flows.review.security import Secrets, allowed_hosts, is_any, is_loopback
    from flows.review.server import bind, serve
    from tasks.events import sending_events

    if not is_loopback(host) and token_file is None:
        raise SettingsError(
            f"--host {host} can be reached from other machines; add --token-file, or leave out --host and use `ssh -L`"
        )
    for folder in inputs or ():
        if not folder.is_dir():
            raise SettingsError(f"--inputs {folder} is not a folder")
    opened = open_existing(store)
    if of_run is not None:
        if filters["run"] is not None:
            raise SettingsError("the run is given twice; leave out --run")
        filters["run"] = latest_run(opened) or "latest" if of_run == "latest" else of_run
    if (run_id := filters["run"]) is not None and not list_jobs(opened, run=run_id, limit=1, columns=["run_id"]):
        read_run(opened, run_id)  # a live run may have no rows yet
    secrets = Secrets(_read_token(token_file) if token_file else None)
    context = ReviewContext(
        store=opened,
        catalog=Catalog(opened),
        decisions=Decisions(opened),
        secrets=secrets,
        media=MediaSigner(secrets, opened, inputs or ()),
        filters={name: value for name, value in filters.items() if value},
        reviewer=reviewer or getpass.getuser(),
        claims=SessionClaims(opened) if claim else None,
    )
    context.read_ahead()
    listener = bind(host, port)
    port = listener.getsockname()[1]
    app = make_app(context, allowed_hosts(host), any_address=is_any(host), cookie=f"troupe_{port}")
    shown = "localhost" if is_any(host) else f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{port}/?token={secrets.token if token_file is None else 'TOKEN'}"
    typer.echo(url)
    stderr.print(
        f"reviewing {opened.url} as {context.reviewer}: open the address in a browser; Ctrl-C ends"
        + (f"; TOKEN is in {token_file}" if token_file else "")
    )
    if open_browser:
        webbrowser.open(url.replace("TOKEN", secrets.token))
    load_client()
    with sending_events(opened, stderr.print):
        serve(app, listener)


def _read_token(file: Path) -> str:
    try:
        if file.stat().st_mode & 0o077:
            raise SettingsError(f"other users can read {file}; run chmod 600 {file}")
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read --token-file {file}: {error}") from error
    if len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"{file} must have one token of at least {MIN_TOKEN} ASCII characters without spaces")
    return token

"""`troupe events`: webhooks that are called when something finishes."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.options import DEFAULT_STORE, ExitCode, FormatOption, StoreOption
from troupe.wording import counted

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the webhook.")]


@app.callback()
def events() -> None:
    """Call webhooks when a job, run, decision or export finishes.

    Signed by Standard Webhooks, at least once, in the time of runs or by `troupe events deliver`; see docs/events.md.
    """


@app.command()
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent to, https://.")],
    types: Annotated[
        str,
        typer.Option(
            metavar="TYPES", help="Types of events: job, run, decision, export, or such as job.failed; with commas."
        ),
    ] = "job,run,decision,export",
    secret_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the secret that signs, the same path on every machine that sends; written if missing.",
            show_default="the environment variable TROUPE_WEBHOOK_SECRET",
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(
            help="Name of the webhook.", show_default="the URL's host and port with hyphens, such as hooks-example-com"
        ),
    ] = "",
    allow_private: Annotated[
        bool,
        typer.Option("--allow-private", help="The host may have a private address, and be reached without encryption."),
    ] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Also send everything that is recorded already.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Add a webhook to a store. It gets what happens from now on.

    The store has its URL, never its secret.

    Examples:

    - `troupe events add https://hooks.example.com/troupe --secret-file hook.secret`
    - `troupe events add http://10.0.0.5:8000/ --allow-private --types job.failed,run --secret-file hook.secret`
    """
    from catalogs.events import Endpoint, add_endpoint, create_secret_file
    from catalogs.store.store import open_store

    host = urlsplit(url).netloc.rpartition("@")[2].lower()
    name = name or "-".join(part for part in host.replace(":", ".").replace("_", ".").split(".") if part)[:63]
    chosen = tuple(dict.fromkeys(part.strip() for part in types.split(",") if part.strip()))
    place = str(secret_file.expanduser().absolute()) if secret_file else ""
    endpoint = Endpoint(name, url, chosen, place, allow_private)
    opened = open_store(store)
    missing = secret_file is not None and not Path(place).exists()
    if missing:
        create_secret_file(Path(place))
    try:
        add_endpoint(opened, endpoint, from_start=from_start)
    except BaseException:
        if missing:
            Path(place).unlink()
        raise
    if missing:
        stderr.print(f"wrote a new secret to {place}; give it to the receiver")
    stderr.print(f"added {name}; {opened.command(f'events test {name}')} sends it a test event")


@app.command("ls")
def list_webhooks(store: StoreOption = DEFAULT_STORE, format: FormatOption = Format.table) -> None:
    """List the webhooks of a store, and how their deliveries went; `--format json` also lists events given up.

    Examples:

    - `troupe events ls`
    """
    from catalogs.events import list_endpoints, read_state
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    found = [(endpoint, read_state(opened, endpoint.name)) for endpoint in list_endpoints(opened)]
    if format is Format.json:
        print_json([vars(endpoint) | _shown(state) for endpoint, state in found])
        return
    print_table(
        ("name", "state", "sent", "given up", "last delivery (UTC)", "types", "url", "note"),
        (
            (
                endpoint.name,
                _state(state),
                str(state.sent),
                str(state.dead_count),
                f"{state.last_success_at:%Y-%m-%d %H:%M}" if state.last_success_at else "",
                ",".join(endpoint.types),
                endpoint.url,
                state.disabled or (state.last_error if state.failing_since else ""),
            )
            for endpoint, state in found
        ),
        right=("sent", "given up"),
    )
    if not found:
        stderr.print(f"no webhooks in {store}; {opened.command('events add URL')} adds one")


@app.command()
def rm(name: NameArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Remove a webhook; events that it did not get are not sent.

    Examples:

    - `troupe events rm hooks-example-com`
    """
    from catalogs.events import remove_endpoint
    from catalogs.store.existing import open_existing

    remove_endpoint(open_existing(store), name)
    stderr.print(f"removed {name}")


@app.command()
def enable(name: NameArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Send to a disabled webhook again, beginning with the first event that it did not get.

    Examples:

    - `troupe events enable hooks-example-com`
    """
    from catalogs.events import find_endpoint, read_state, write_state
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    find_endpoint(opened, name)
    state = read_state(opened, name)
    state.disabled, state.failing_since = "", None
    write_state(opened, name, state)
    stderr.print(f"enabled {name}; {opened.command('events deliver')} sends what it did not get")


@app.command()
def deliver(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this webhook.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on with what happens later, until Ctrl-C.")] = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Send the events that webhooks did not get, such as after a run was killed or while a receiver was down.

    A receiver that fails is tried again for about two minutes; what it did not get then is left for the next time.

    Exit code: 0 if everything was delivered, 3 if something is left.

    Examples:

    - `troupe events deliver`
    - `troupe events deliver --watch --store s3://bucket/troupe`
    """
    from catalogs.events import find_endpoint, list_endpoints, read_state
    from catalogs.store.existing import open_existing
    from flows.observe.progress import console_waiting
    from tasks.events import deliver_events
    from troupe.process.signals import stoppable

    opened = open_existing(store)
    endpoints = [find_endpoint(opened, name)] if name else list_endpoints(opened)
    if not endpoints:
        stderr.print(f"no webhooks in {store}; {opened.command('events add URL')} adds one")
        return
    before = sum(read_state(opened, each.name).sent for each in endpoints)
    to = counted(len(endpoints), "webhook")
    waiting = nullcontext() if watch else console_waiting(stderr, f"sending events to {to}, again where one fails")
    with stoppable() as stop, waiting:
        left = deliver_events(opened, endpoints, stop.is_set, watch=watch)
    for line in left:
        stderr.print(line)
    sent = sum(read_state(opened, each.name).sent for each in endpoints) - before
    stderr.print(f"{counted(sent, 'event')} delivered")
    if left:
        raise typer.Exit(ExitCode.INCOMPLETE)


@app.command("test")
def send_test_event(name: NameArgument, store: StoreOption = DEFAULT_STORE) -> None:
    """Send a test event to a webhook, once.

    Exit code: 0 if the receiver accepted it, 3 otherwise.

    Examples:

    - `troupe events test hooks-example-com`
    """
    from catalogs.events import find_endpoint
    from catalogs.store.existing import open_existing
    from tasks.events import send_test

    opened = open_existing(store)
    endpoint = find_endpoint(opened, name)
    outcome = send_test(opened, endpoint)
    stderr.print(f"{endpoint.url}: {outcome}")
    if not outcome.delivered:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _state(state: Any) -> str:
    return "disabled" if state.disabled else "failing" if state.failing_since else "ok"


def _shown(state: Any) -> dict[str, Any]:
    values = {key: value for key, value in vars(state).items() if key not in ("ahead", "tries", "cursor")}
    return {"state": _state(state), **values}

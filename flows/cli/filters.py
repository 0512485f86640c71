"""The options that say which jobs are meant, the same for every command that looks into a catalog."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

__all__ = ["AS_OF", "STORE", "bound", "moment", "with_filters"]


def moment(text: str) -> datetime:
    """`2026-11-24`, `2026-11-24T06:00`, `2026-11-24T06:00+01:00`, or so long ago: `3h`, `2d`. Without zone: UTC."""
    units = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
    if text[:-1].isdecimal() and text[-1:] in units:
        return datetime.now(UTC) - int(text[:-1]) * units[text[-1]]
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time; try 2026-11-24, 2026-11-24T06:00 or 3d") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def past(text: str) -> int | datetime:
    """A version of the table, or a time."""
    return int(text) if text.isdecimal() else moment(text)


def bound(text: str) -> tuple[str, float]:
    """`identity=0.5`."""
    name, equals, value = text.partition("=")
    try:
        return name.strip(), float(value if equals else "")
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no bound; try identity=0.5") from None


STORE = Annotated[str, typer.Option(help="Folder or bucket URL.", envvar="TROUPE_STORE")]
AS_OF = Annotated[
    Any,
    typer.Option(parser=past, metavar="TIME|VERSION", help="The catalog as it was then.", show_default=False),
]


def _filters(
    status: Annotated[
        str | None, typer.Option(help="Only done, reused, failed, cancelled or forgotten.", show_default=False)
    ] = None,
    identity: Annotated[str | None, typer.Option(help="Only renders of this identity.", show_default=False)] = None,
    driving: Annotated[
        str | None, typer.Option(help="Only of this driving clip: its URI or its name alone.", show_default=False)
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="Only with this tag.", show_default=False)
    ] = None,
    language: Annotated[str | None, typer.Option(help="Only in this language.", show_default=False)] = None,
    run: Annotated[
        str | None,
        typer.Option(help="Only this run's rows, by its run_id; `latest` is the last run.", show_default=False),
    ] = None,
    error_kind: Annotated[
        str | None, typer.Option(help="Only failures of this kind, such as no_face.", show_default=False)
    ] = None,
    since: Annotated[
        Any,
        typer.Option(parser=moment, metavar="TIME", help="Only finished since: 2026-11-24, 3d.", show_default=False),
    ] = None,
    until: Annotated[
        Any, typer.Option(parser=moment, metavar="TIME", help="Only finished before.", show_default=False)
    ] = None,
    least: Annotated[
        list[Any] | None,
        typer.Option(
            "--min",
            parser=bound,
            metavar="NAME=NUMBER",
            help="Only with at least this: identity=0.5, seconds=10.",
            show_default=False,
        ),
    ] = None,
    most: Annotated[
        list[Any] | None,
        typer.Option(
            "--max", parser=bound, metavar="NAME=NUMBER", help="Only with at most this: flicker=3.", show_default=False
        ),
    ] = None,
) -> dict[str, Any]:
    """What `catalogs.query.filters.CatalogQuery` takes."""
    return {
        "status": status,
        "identity": identity,
        "driving": driving,
        "tags": tuple(tag or ()),
        "language": language,
        "run": run,
        "error_kind": error_kind,
        "since": since,
        "until": until,
        "least": dict(least or ()),
        "most": dict(most or ()),
    }


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each filter in the place of its parameter `filters`, a dictionary."""

    @wraps(command)
    def filtered(**given: Any) -> None:
        names = inspect.signature(_filters).parameters
        filters = _filters(**{name: given.pop(name) for name in names})
        command(**given, filters=_latest_run(given["store"], filters))

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "filters"]
    added: Sequence[inspect.Parameter] = list(inspect.signature(_filters).parameters.values())
    kinds = {**get_type_hints(_filters, include_extras=True), **get_type_hints(command, include_extras=True)}
    parameters = [p.replace(annotation=kinds[p.name]) for p in (*own, *added)]
    # Arguments first, then what has no default, as Python wants it.
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    filtered.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    filtered.__annotations__ = {p.name: p.annotation for p in parameters}
    return filtered


def _latest_run(store: str, filters: dict[str, Any]) -> dict[str, Any]:
    if filters["run"] != "latest":
        return filters
    from catalogs.query.jobs import latest_run
    from catalogs.store.store import open_store

    # Of an empty catalog nothing is latest, and no run is called so.
    return {**filters, "run": latest_run(open_store(store)) or "latest"}

"""`troupe store policy`: what every run into a store has to keep to."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows.cli.console import print_json, print_table, stderr
from flows.cli.options import DEFAULT_STORE, StoreOption

__all__ = ["policy"]


def policy(
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME=VALUE]...", help="Settings to change; without any, the policy is shown."),
    ] = None,
    store: StoreOption = DEFAULT_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Show or change the policy of a store, which a run may tighten and never loosen.

    - `require_consent=true`: every job needs a permission of the register that covers it, see `troupe consent`
    - `require_signature=true`: nothing is published without signed Content Credentials
    - `label=ai-generated`: visible label of every video; `none` for none
    - `watermark=true`: every picture must have the invisible watermark; otherwise a job may say `off`
    - `allow_input=/data;s3://media`: folders, buckets and hosts that rows may name; empty: the default
    - `review=RULE; RULE; ...`: rules that decide about films by their measures; empty: none

    A rule is `approve`, `reject` or `review`, then `if` and comparisons of numeric columns with numbers, joined by
    `and`, or `otherwise`. The first one that holds decides; films whose measures are missing go to review. Rules are
    applied at the end of every run, and to all films when they are changed; they never overrule a person: see
    docs/review.md.

    Changes are in the audit log. Renders that exist already stay as they are; a run that would reuse them makes new
    ones where the policy asks for more.

    Examples:

    - `troupe store policy`
    - `troupe store policy require_consent=true label=ai-generated --store s3://bucket/troupe`
    - `troupe store policy "review=approve if identity >= 0.6 and sync_offset_frames <= 1; reject if flicker > 5"`
    """
    from catalogs.retention.store_policy import change_policy
    from catalogs.review.automatic import apply_rules
    from catalogs.store.existing import open_existing
    from catalogs.store.policy import read_policy
    from catalogs.store.store import open_store

    opened = (open_store if changes else open_existing)(store)
    current = read_policy(opened)
    if changes:
        current = change_policy(opened, dict(map(_parsed, changes)))
        stderr.print(f"changed {', '.join(text.partition('=')[0] for text in changes)}")
        if (reviewed := apply_rules(opened)) is not None:
            stderr.print(reviewed.line())
    if as_json:
        print_json(asdict(current))
    else:
        print_table(("setting", "value"), [(name, _shown(name, value)) for name, value in asdict(current).items()])


def _parsed(text: str) -> tuple[str, Any]:
    name, separator, value = text.partition("=")
    if not separator:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    if name == "allow_input":
        return name, [entry.strip() for entry in value.split(";") if entry.strip()] or None
    if name == "review":
        return name, [entry.strip() for entry in value.split(";") if entry.strip()]
    return name, {"true": True, "false": False}.get(value.lower(), value)


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "(default)"
    if name == "watermark" and not value:
        return "false (not required; every video has it unless its job says off)"
    return str(value).lower() if isinstance(value, bool) else "; ".join(value) if isinstance(value, tuple) else value

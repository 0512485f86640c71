"""`troupe catalog audit`: what was done in a store, when and by whom."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.options import DEFAULT_STORE, ExitCode, FormatOption, StoreOption
from flows.cli.parsing import parse_time

__all__ = ["audit"]


def audit(
    store: StoreOption = DEFAULT_STORE,
    identity: Annotated[
        str, typer.Option(help="Only what concerns this person, in any spelling.", show_default=False)
    ] = "",
    since: Annotated[
        Any,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="Only from then on (UTC): 2026-11-24, today or 7d.",
            show_default=False,
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that no entry was changed, removed or added.")
    ] = False,
    expect: Annotated[
        str,
        typer.Option(
            metavar="SHA256", help="With --verify: the hash of an entry that has to be there.", show_default=False
        ),
    ] = "",
    format: FormatOption = Format.table,
) -> None:
    """Show the audit log: runs, exports, permissions, revocations, forgotten people and changes of the store's policy.

    Entries are only ever added. Each contains the hash of the one before it, so that --verify finds an entry that was
    changed, removed or inserted later. Keep the last hash that it prints in another place, and give it as --expect:
    that shows also that none is missing at the end. People are not named in the log, only by hashes of their labels.

    Exit code: 0, or 3 if --verify finds that the log was changed.

    Examples:

    - `troupe catalog audit --since 30d`
    - `troupe catalog audit --identity ada --format json`
    - `troupe catalog audit --verify --expect 3f1c…`
    """
    from catalogs.store.existing import open_existing
    from catalogs.table.audit import read_audit, verify_audit
    from troupe.errors import SettingsError

    if expect and not verify:
        raise SettingsError("--expect belongs to --verify")
    opened = open_existing(store)
    if verify:
        verdict = verify_audit(opened, expect)
        for problem in verdict.problems:
            stderr.print(problem)
        if format is Format.json:
            print_json(asdict(verdict))
        else:
            state = "changed" if verdict.problems else "unchanged"
            typer.echo(f"{verdict.entries} entries, {state}; last: {verdict.last}")
        if verdict.problems:
            raise typer.Exit(ExitCode.INCOMPLETE)
        return
    entries = list(read_audit(opened, since, identity))
    if format is Format.json:
        print_json([asdict(entry) for entry in entries])
        return
    print_table(
        ("number", "time (UTC)", "event", "by", "details"),
        [(str(e.number), f"{e.at:%Y-%m-%d %H:%M:%S}", e.event, e.by, _details(e.facts)) for e in entries],
        right=("number",),
    )
    if not entries:
        stderr.print("no entries" if identity or since else "the log is empty: nothing was done in this store yet")


def _details(facts: Any) -> str:
    return ", ".join(
        f"{name} {json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value}"
        for name, value in facts.items()
        if not name.endswith("sha256")
    )

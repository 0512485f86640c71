"""`troupe forget`: delete the renders of a person who withdrew consent."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.console import print_table, stderr
from flows.cli.options import DEFAULT_STORE, DryRunOption, StoreOption

__all__ = ["forget"]


def forget(
    store: StoreOption = DEFAULT_STORE,
    identity: Annotated[
        str, typer.Option(help="Identity of the person, as labelled in the jobs files.", show_default=False)
    ] = "",
    portrait: Annotated[
        str, typer.Option(help="A picture of the person, for jobs without an identity.", show_default=False)
    ] = "",
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking for confirmation.")] = False,
) -> None:
    """Delete all renders of a person who withdrew consent, and refuse to render the person again.

    Matches jobs by the identity and by every portrait ever used with it. Videos, posters and encoded portraits are
    deleted. The jobs stay in the catalog with status `forgotten`, without pictures; older table versions still name
    them until `troupe catalog vacuum`. Hashes of the identity and the portraits are kept in the store, so that later
    runs refuse them.

    Exported copies and your own source pictures are not deleted.

    Examples:

    - `troupe forget --identity ada --dry-run`
    - `troupe forget --identity ada --store s3://bucket/troupe`
    - `troupe forget --portrait faces/ada.jpg --yes`
    """
    from catalogs import report
    from catalogs.requests.inputs import localised
    from catalogs.retention import forget as retention
    from catalogs.store.store import open_store
    from troupe.files import file_sha256

    opened = open_store(store)
    picture_hash = ""
    if portrait:
        with localised(portrait) as path:
            picture_hash = file_sha256(path)
    found = retention.forget(opened, identity, picture_hash, dry_run=True)
    print_table(("run",), [(run,) for run in found.runs])
    stderr.print(f"{found.jobs} jobs in {len(found.runs)} runs, {found.files} files")
    if dry_run:
        return
    if not yes:
        typer.confirm(f"Delete these for good and refuse {identity or portrait} from now on?", abort=True, err=True)
    done = retention.forget(opened, identity, picture_hash)
    for run in done.runs:
        report.write_report(opened, run)
    stderr.print(f"{done.files} files deleted; later runs will refuse {identity or portrait}")

"""`troupe forget`: delete the renders of a person who withdrew consent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.console import print_table, stderr
from flows.cli.options import (
    DEFAULT_STORE,
    AllowInputOption,
    DetectorOption,
    DryRunOption,
    StoreOption,
    WeightsOption,
    weights_or_miniature,
)
from troupe.errors import SettingsError
from troupe.wording import counted

if TYPE_CHECKING:
    from catalogs.retention.forget import ForgetReport
    from tasks.same_person import Match

__all__ = ["forget", "show_deletion"]


def forget(
    store: StoreOption = DEFAULT_STORE,
    identity: Annotated[
        str,
        typer.Option(help="Identity of the person, as in the jobs files, in any spelling.", show_default=False),
    ] = "",
    portrait: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="Picture of the person: finds renders of this very file.", show_default=False
        ),
    ] = "",
    alike: Annotated[
        bool, typer.Option("--alike", help="With --portrait: find all portraits that show the same face.")
    ] = False,
    absent_ok: Annotated[
        bool, typer.Option("--absent-ok", help="Refuse the person from now on even if no job shows them.")
    ] = False,
    weights: WeightsOption = None,
    detector: DetectorOption = None,
    allow_input: AllowInputOption = None,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking for confirmation.")] = False,
) -> None:
    """Delete all renders of a person who withdrew consent, and refuse to render the person again.

    Matches jobs by the identity in every spelling, and by every portrait ever used with it. With --alike, faces are
    compared by the networks of --weights; check the list before you confirm it. Videos, posters and encoded portraits
    are deleted. The jobs stay in the catalog with status `forgotten`, without pictures; older table versions still
    name them until `troupe catalog vacuum`. Hashes of the identity and the portraits are kept in the store, so that
    later runs refuse them.

    If no job shows the person, nothing is changed, similar identities are listed and the exit code is 2.

    Exported copies are listed, of HLS the folder, all of which has to be deleted; neither they nor your own source
    pictures are deleted.

    Examples:

    - `troupe forget --identity ada --dry-run`
    - `troupe forget --identity ada --store s3://bucket/troupe`
    - `troupe forget --portrait faces/ada.jpg --yes`
    - `troupe forget --portrait faces/ada.jpg --alike --weights weights --dry-run`
    """
    from catalogs import report
    from catalogs.requests.access.input_policy import ANY_PUBLIC, input_policy, trusting
    from catalogs.requests.inputs import localised
    from catalogs.retention import forget as retention
    from catalogs.store.existing import open_existing
    from catalogs.store.policy import read_policy
    from catalogs.store.store import open_store
    from troupe.files import file_sha256

    if alike and not portrait:
        raise SettingsError("--alike compares with a picture; give one as --portrait FILE")
    opened = (open_store if absent_ok else open_existing)(store)
    pictures: list[str] = []
    if portrait:
        with localised(portrait, policy=trusting(portrait)) as path:
            pictures.append(file_sha256(path))
            if alike:
                from tasks.same_person import find_person

                policy = input_policy(opened, read_policy(opened), (*ANY_PUBLIC, *(allow_input or ())), ())
                pictures += _same(find_person(opened, path, weights_or_miniature(weights), detector, policy))
    found = retention.forget(opened, identity, pictures, absent_ok=absent_ok, dry_run=True)
    show_deletion(found)
    if dry_run:
        return
    if not yes:
        typer.confirm(f"Delete these for good and refuse {identity or portrait} from now on?", abort=True, err=True)
    done = retention.forget(opened, identity, pictures, absent_ok=absent_ok)
    for run in done.runs:
        report.write_report(opened, run)
    stderr.print(f"{counted(done.files, 'file')} deleted; later runs will refuse {identity or portrait}")


def show_deletion(found: ForgetReport) -> None:
    """Print what is going to be deleted, and what is not."""
    print_table(("run",), [(run,) for run in found.runs])
    for copy in found.exported:
        whole = " (the whole folder)" if copy.endswith("/") else ""
        stderr.print(f"exported copy, which you have to delete yourself: {copy}{whole}")
    runs, files = counted(len(found.runs), "run"), counted(found.files, "file")
    stderr.print(f"{counted(found.jobs, 'job')} in {runs}, {files}")


def _same(matches: list[Match]) -> list[str]:
    """Show the portraits of the same person, and return their hashes."""
    print_table(
        ("portrait", "identity", "similarity"),
        [(match.portrait, match.identity, f"{match.similarity:.2f}") for match in matches if match.same],
        right=("similarity",),
    )
    for match in matches:
        if match.similarity is None:
            stderr.print(f"not compared: {match.portrait}: {match.problem}")
    return [match.portrait_sha256 for match in matches if match.same]

"""`troupe consent`: the register of people's permissions to be shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.options import (
    DEFAULT_STORE,
    DetectorOption,
    DryRunOption,
    FormatOption,
    StoreOption,
    WeightsOption,
    weights_or_miniature,
)
from flows.cli.provenance.forget import show_deletion
from troupe.errors import InputError, SettingsError
from troupe.wording import counted

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)

ReferenceArgument = Annotated[str, typer.Argument(metavar="REFERENCE", help="Reference of the permission.")]
ReplaceOption = Annotated[bool, typer.Option("--replace", help="Replace a permission with the same reference.")]


@app.callback()
def consent() -> None:
    """Keep the register of people's permissions in a store.

    The column `consent` of a job names a permission by its reference. `troupe store policy require_consent=true`
    refuses every job that no valid permission covers, before anything is rendered.
    """


@app.command()
def add(
    reference: ReferenceArgument,
    identity: Annotated[str, typer.Option(help="The person, as in the column `identity` of the jobs.")],
    document: Annotated[
        str, typer.Option(metavar="URI", help="The signed document; its hash is kept.", show_default=False)
    ] = "",
    purposes: Annotated[
        list[str] | None, typer.Option("--purpose", help="Value that the tag `purpose` of a job may have; repeatable.")
    ] = None,
    languages: Annotated[
        list[str] | None, typer.Option("--language", help="Language that may be spoken, such as fr; repeatable.")
    ] = None,
    territories: Annotated[
        list[str] | None,
        typer.Option("--territory", help="Value that the tag `territory` of a job may have; repeatable."),
    ] = None,
    clips: Annotated[
        list[str] | None, typer.Option("--clip", help="Driving clip by name or URI, with * and ?; repeatable.")
    ] = None,
    valid_from: Annotated[str, typer.Option("--from", metavar="DAY", help="First day, UTC.", show_default=False)] = "",
    valid_until: Annotated[str, typer.Option("--until", metavar="DAY", help="Last day, UTC.", show_default=False)] = "",
    face: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="Picture of the person, whose face every portrait is compared with; the picture is not kept, the "
            "embedding of the face is.",
            show_default=False,
        ),
    ] = "",
    weights: WeightsOption = None,
    detector: DetectorOption = None,
    replace: ReplaceOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Add a permission. What is not limited is permitted.

    With --face, a job with this permission whose portrait shows somebody else is flagged, or refused if the policy of
    the store requires consent. Faces are compared by the networks of --weights: name those of the runs.

    Examples:

    - `troupe consent add release-2026-014 --identity ada --document contracts/ada.pdf --until 2027-12-31`
    - `troupe consent add release-2026-015 --identity bo --purpose advertisement --language fr --language de`
    - `troupe consent add release-2026-016 --identity cy --face contracts/cy.jpg --weights weights`
    """
    from catalogs.consent.permission import permission_from
    from catalogs.consent.register import add_permissions
    from catalogs.store.store import open_store

    values: dict[str, Any] = {
        "reference": reference,
        "identity": identity,
        "document": document,
        "purposes": purposes or [],
        "languages": languages or [],
        "territories": territories or [],
        "clips": clips or [],
        "valid_from": valid_from,
        "valid_until": valid_until,
    }
    opened = open_store(store)
    values = _with_face(values | {"face": face}, _chosen(weights), detector)
    add_permissions(opened, [permission_from(_with_hash(values), reference)], replace_existing=replace)
    stderr.print(f"added {reference}")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Table of permissions: CSV, JSONL or Parquet.")],
    weights: WeightsOption = None,
    detector: DetectorOption = None,
    replace: ReplaceOption = False,
    store: StoreOption = DEFAULT_STORE,
) -> None:
    """Add the permissions of a table: all of them, or none if one is invalid.

    Columns: `reference`, `identity`, and optionally `document`, `purposes`, `languages`, `territories`, `clips` (with
    `;` between several), `valid_from`, `valid_until` and `face`, a picture of the person as in `troupe consent add`.

    Examples:

    - `troupe consent import releases.csv --store s3://bucket/troupe`
    """
    from catalogs.consent.permission import Permission, permission_from
    from catalogs.consent.register import add_permissions
    from catalogs.requests.tables import read_table
    from catalogs.store.store import open_store

    permissions: list[Permission] = []
    chosen = _chosen(weights)
    problems: list[str] = []
    try:
        table = read_table(file.read_bytes(), file.name)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error
    for row in table.rows:
        cells = {name: cell for name, cell in row.cells.items() if name in table.columns}
        try:
            permissions.append(permission_from(_with_hash(_with_face(cells, chosen, detector)), row.where))
        except SettingsError as error:
            problems += error.problems or [str(error)]
        except InputError as error:
            problems.append(f"{row.where}: {error}")
    problems += table.problems
    if problems:
        raise SettingsError(f"{file} has invalid permissions; nothing was added", problems)
    count = add_permissions(open_store(store), permissions, replace_existing=replace)
    stderr.print(f"added {counted(count, 'permission')}")


@app.command()
def ls(
    identity: Annotated[str, typer.Option(help="Only permissions of this person.", show_default=False)] = "",
    store: StoreOption = DEFAULT_STORE,
    format: FormatOption = Format.table,
) -> None:
    """List the permissions of a store.

    Examples:

    - `troupe consent ls --identity ada`
    """
    from catalogs.consent.register import list_permissions
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    found = list_permissions(opened, identity)
    if format is Format.json:
        print_json([permission.values() | {"state": permission.state()} for permission in found])
        return
    print_table(
        ("reference", "identity", "state", "until", "limited to"),
        [(p.reference, p.identity, p.state(), str(p.valid_until or ""), _limits(p)) for p in found],
    )
    if not found:
        stderr.print(f"no permissions; {opened.command('consent add')} adds one")


@app.command()
def show(reference: ReferenceArgument, store: StoreOption = DEFAULT_STORE, format: FormatOption = Format.table) -> None:
    """Show a permission.

    Examples:

    - `troupe consent show release-2026-014`
    """
    from catalogs.consent.register import find_permission, near_references
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    permission = find_permission(opened, reference)
    if permission is None:
        hint = near_references(opened, reference) or f"{opened.command('consent ls')} lists them"
        raise SettingsError(f"{store} has no permission {reference}; {hint}")
    values = permission.values() | {"state": permission.state()}
    if format is Format.json:
        print_json(values)
        return
    shown = values | ({"face": "an embedding, with which portraits are compared"} if permission.face else {})
    rows = [
        (name, "; ".join(value) if isinstance(value, list) else str(value)) for name, value in shown.items() if value
    ]
    print_table(("value", "of the permission"), rows)


@app.command()
def revoke(
    reference: ReferenceArgument,
    reason: Annotated[str, typer.Option(help="Why; kept in the register and the audit log.")],
    store: StoreOption = DEFAULT_STORE,
    dry_run: DryRunOption = False,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking for confirmation.")] = False,
) -> None:
    """Revoke a permission: delete the renders of the jobs that name it, and refuse such jobs from now on.

    Running jobs with it are not published any more. The person's other permissions stay; `troupe forget` deletes
    everything of a person. Exported copies are listed; they are not deleted.

    Examples:

    - `troupe consent revoke release-2026-014 --reason "withdrawn by letter of 3 May" --dry-run`
    """
    from catalogs import report
    from catalogs.retention.revoke import revoke as revoke_permission
    from catalogs.store.existing import open_existing

    opened = open_existing(store)
    permission, found = revoke_permission(opened, reference, reason, dry_run=True)
    show_deletion(found)
    if dry_run:
        return
    if not yes:
        typer.confirm(f"Delete these for good and revoke {permission.reference}?", abort=True, err=True)
    _, done = revoke_permission(opened, reference, reason)
    for run in done.runs:
        report.write_report(opened, run)
    stderr.print(f"{counted(done.files, 'file')} deleted; jobs with {permission.reference} are refused from now on")


def _with_hash(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a permission with the hash of its document."""
    from catalogs.requests.access.input_policy import trusting
    from catalogs.requests.inputs import localised
    from troupe.files import file_sha256

    document = str(values.get("document") or "")
    if not document or values.get("document_sha256"):
        return values
    with localised(document, policy=trusting(document)) as path:
        return values | {"document_sha256": file_sha256(path)}


def _chosen(weights: str | None) -> Callable[[], str]:
    """Return what returns the weights, with a notice if there are none; they are needed for faces only."""
    return cache(lambda: weights_or_miniature(weights))


def _with_face(values: dict[str, Any], weights: Callable[[], str], detector: str | None) -> dict[str, Any]:
    """Return the values of a permission with the embedding of the face in the picture that `face` names."""
    from catalogs.requests.access.input_policy import trusting
    from catalogs.requests.inputs import localised

    picture = str(values.get("face") or "")
    if not picture:
        return values
    from tasks.same_person import face_values

    with localised(picture, policy=trusting(picture)) as path:
        return values | face_values(path, weights(), detector)


def _limits(permission: Any) -> str:
    from catalogs.consent.permission import SCOPES

    return "; ".join(
        f"{scope}: {', '.join(getattr(permission, scope))}" for scope in SCOPES if getattr(permission, scope)
    )

"""`troupe doctor` and `troupe store`: check whether this machine can run troupe, and the files of a store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import Format, print_json, print_table, stderr
from flows.cli.options import DEFAULT_STORE, CredentialsOption, ExitCode, FormatOption, StoreOption
from troupe.errors import TroupeError

__all__ = ["doctor", "store_app"]

store_app = typer.Typer(no_args_is_help=True)

SHOWN = 10
"""Number of files without a digest that are listed; --json lists all."""


def doctor(
    store: StoreOption = DEFAULT_STORE,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights directory.", envvar="TROUPE_WEIGHTS", show_default="the miniature that comes with troupe"
        ),
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="Face detector to use instead of the one in the weights.")
    ] = None,
    credentials: CredentialsOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Check what a run needs: Python, packages, memory, GPU, ffmpeg, Ray, Prefect, the store, the weights, the signer.

    Each finding is ok, warn (works with limitations) or bad (a run would fail), with advice on how to fix it.

    Exit code: 0 if no finding is bad, 2 otherwise.

    Examples:

    - `troupe doctor`
    - `troupe doctor --weights weights --store s3://bucket/troupe`
    """
    from tasks.doctor import examine
    from tasks.weights.shipped import SHIPPED_WEIGHTS

    def signer() -> tuple[str, str]:
        from catalogs.store.policy import read_policy
        from catalogs.store.store import open_store
        from tasks.credentials.examine import examine_signer

        required = False
        with suppress(TroupeError):  # which the finding about the store says
            required = read_policy(open_store(store)).require_signature
        return examine_signer(credentials or "", required=required)

    findings = examine(store, weights or SHIPPED_WEIGHTS, detector, _ask_prefect, signer)
    if format is Format.json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("state", "what", "found", "advice"),
            ((finding.state, finding.name, finding.what, finding.advice) for finding in findings),
        )
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(ExitCode.REFUSED)


@store_app.callback()
def store() -> None:
    """Check and repair the files of a store."""


@store_app.command()
def check(
    store: StoreOption = DEFAULT_STORE,
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Also hash the content of all files, and compare the catalog with the manifests."),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Remove what is damaged, so that the next run makes it again; see below."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Check caches, renders, manifests and the catalog of a store.

    Without --deep, checks that every file of every render exists with its size, and reads everything small. With
    --repair, damaged caches and renders are removed and made again by the next run that needs them, manifests and rows
    of the catalog are written again from each other, and files of earlier versions get their digests. A live
    run is not disturbed: repair when it has ended.

    A file without a digest cannot be verified, except a render's video with --deep: by the row of its job. Files of
    earlier versions have none; a file that lost its digest looks the same. --repair gives these files digests of what
    they contain now; remove those that you do not trust.

    Exit code: 0 if nothing is damaged or everything was repaired, 3 otherwise.

    Examples:

    - `troupe store check`
    - `troupe store check --deep --repair --store s3://bucket/troupe`
    """
    from dataclasses import asdict

    from catalogs.retention.check_store import check_store
    from catalogs.store.existing import open_existing

    report = check_store(open_existing(store), deep=deep, repair=repair)
    if as_json:
        print_json(asdict(report))
    elif report.problems:
        rows = [(p.what, "repaired" if p.repaired else "damaged", p.remedy) for p in report.problems]
        print_table(("problem", "state", "what to do"), rows)
    if report.unverified:
        stderr.print(
            f"without digest, so not verified: {', '.join(report.unverified[:SHOWN])}"
            + ("…" if len(report.unverified) > SHOWN else "")
        )
    stderr.print(report.line())
    if not all(problem.repaired for problem in report.problems):
        raise typer.Exit(ExitCode.INCOMPLETE)


def _ask_prefect() -> str:
    from flows.server.prefect_server import ask_server  # an invalid setting of Prefect fails here, as a finding

    return ask_server()

"""`troupe credentials`: what Content Credentials are signed with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import stderr

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True)


@app.callback()
def credentials() -> None:
    """Make what Content Credentials are signed with."""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to create the files in.")],
    name: Annotated[str, typer.Option(help="Name in the signing certificate.")] = "troupe test signer",
    days: Annotated[int, typer.Option(min=1, help="Days that the signing certificate is valid for.")] = 365,
) -> None:
    """Make a local test authority: root.pem, and certificate.pem and key.pem that sign.

    NOBODY ELSE TRUSTS IT. Its signatures show that a file was not changed, and not to anyone else who made it. For
    signatures that others trust, get a certificate for C2PA claim signing from an authority on the C2PA trust list.
    The key is not encrypted; only its owner can read the file.

    Examples:

    - `troupe credentials init credentials`
    - `troupe run jobs.csv --credentials credentials --require-signature`
    - `troupe verify video.mp4 --trust credentials/root.pem`
    """
    from tasks.credentials.authority import create_authority

    for path in create_authority(folder.expanduser(), name, days).values():
        typer.echo(path)
    stderr.print(
        "This is a test authority: nobody else trusts its signatures. Sign with `troupe run --credentials "
        f"{folder}`; verify with `troupe verify FILE --trust {folder}/root.pem`."
    )
